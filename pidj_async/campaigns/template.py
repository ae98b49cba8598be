"""Texts with merge fields, such as ``"Hi {first_name|there}"``.

The rules:

1. ``{name}`` is a merge field. What stands in it is the name of a column, exactly.
2. ``{name|default}`` has a default, for whoever has no value or a blank one. It may be empty: ``{suffix|}``.
3. ``{{`` and ``}}`` are braces. Any other brace is a mistake, and is found when the template is made.
4. A field without a default must have a value: nobody is sent "Hi ,".
5. A value is put in as it is, without the white space around it. Braces in it mean nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from pidj_async._masking import mask_text, shorten_names
from pidj_async.errors import TemplateError

__all__ = ["Template"]

_TOKEN: Final = re.compile(r"(?P<brace>\{\{|\}\})|\{(?P<name>[^{}|]*)(?:\|(?P<default>[^{}]*))?\}|(?P<stray>[{}])")


class Template:
    """A text with merge fields, read once and filled in many times.

    Args:
        text: The text. The rules are at the head of this module.

    Raises:
        TemplateError: It cannot be read; the message says where.
    """

    __slots__ = ("_parts", "fields", "required", "text")

    #: The text, as it was given.
    text: str
    #: The names of the merge fields, each once, in the text's order.
    fields: tuple[str, ...]
    #: Those of them that everybody must have a value for.
    required: tuple[str, ...]

    def __init__(self, text: str) -> None:
        self.text = text
        literal = ""
        after = 0
        parts: list[str | tuple[str, str | None]] = []
        names: dict[str, bool] = {}
        for token in _TOKEN.finditer(text):
            literal += text[after : token.start()]
            after = token.end()
            if token["brace"]:
                literal += token["brace"][0]
                continue
            name = self._name_in(token)
            parts += [literal, (name, token["default"])]
            literal = ""
            names[name] = names.get(name, False) or token["default"] is None
        parts.append(literal + text[after:])
        self._parts = tuple(part for part in parts if part)
        self.fields = tuple(names)
        self.required = tuple(name for name, is_required in names.items() if is_required)

    @staticmethod
    def _name_in(token: re.Match[str]) -> str:
        where = f"at character {token.start() + 1}"
        if stray := token["stray"]:
            does = "opens a merge field that is not closed" if stray == "{" else "closes no merge field"
            problem = f"the {stray!r} {where} {does}; write a merge field as {{name}}, and a brace as {stray * 2!r}"
            raise TemplateError("text", problem)
        name = token["name"].strip()
        if not name:
            problem = f"the merge field {where} has no name; write {{name}}, or {{{{}}}} for two braces"
            raise TemplateError("text", problem)
        return name

    def __repr__(self) -> str:
        return f"<Template of {mask_text(self.text)}, merge fields: {shorten_names(self.fields) or 'none'}>"

    @property
    def has_fields(self) -> bool:
        """Whether there are merge fields. Without any, everybody gets the same text."""
        return bool(self.fields)

    def render(self, values: Mapping[str, str]) -> str:
        """Fill in the merge fields.

        Args:
            values: Their values by name. Others are passed over.

        Returns:
            The text.

        Raises:
            TemplateError: A field without a default has no value, or a blank one. Its `field` is the field's name.
        """
        text = ""
        for part in self._parts:
            if isinstance(part, str):
                text += part
                continue
            name, default = part
            if value := values.get(name, "").strip():
                text += value
            elif default is not None:
                text += default
            else:
                problem = "is blank" if name in values else "is missing"
                msg = f"{problem}, and the text has no default for it, as {{{name}|default}} would be"
                raise TemplateError(name, msg)
        return text
