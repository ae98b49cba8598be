"""The fields of a request as parameters of a command.

The rules:

1. A positional field is an argument; every other one an option, ``to_number`` as ``--to-number``.
2. A field that can be cleared has no second option: ``--clear to-number`` clears it.
3. Several values are given by repeating the option.
4. A secret is asked for at a hidden prompt, or read from standard input or the environment.
5. The words are those of the request's docstring.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from functools import cache
from inspect import getdoc
from typing import TYPE_CHECKING, Any

import attrs
import click

from pidj_async._fields import ChoiceKind, FieldInfo, FlagKind, IdKind, Kind, ListKind
from pidj_async.cli.settings import PASSWORD_VARIABLE, Settings
from pidj_async.endpoints import BY_NAME
from pidj_async.errors import InvalidRequestError

if TYPE_CHECKING:
    from pidj_async._endpoint import Endpoint

__all__ = ["Words", "field_parameters", "in_words_of_the_command", "spelled", "values_of", "words_of"]

CLEAR = "clear"

_MARKUP = re.compile(r"``([^`]*)``|`([^`]*)`")
_NAME = re.compile(r"\b[a-z]+(?:_[a-z0-9]+)+\b")

# What a docstring or an error says to a Python programmer, and what it means on the command line.
_PYTHON = (
    ("``None`` clears a field", "--clear FIELD clears a field"),
    ("None clears a field in an update", "--clear clears a field in an update"),
    ("pass truncate=True", "pass --truncate"),
)


@attrs.frozen
class Words:
    """What a request's docstring says, in the words of the command line.

    Attributes:
        summary: One sentence.
        text: The summary and what follows it, as paragraphs.
        fields: The explanation of each field.
    """

    summary: str
    text: str
    fields: Mapping[str, str]


@cache
def words_of(row: Endpoint[Any]) -> Words:
    """Read a row's docstring."""
    import docstring_parser  # noqa: PLC0415  completing a name of a command needs none

    parsed = docstring_parser.parse(getdoc(row.request) or "", style=docstring_parser.DocstringStyle.GOOGLE)

    def plain(text: str | None) -> str:
        text = " ".join((text or "").split())
        for python, command in _PYTHON:
            text = text.replace(python, command)
        return _MARKUP.sub(lambda found: _spelled_name(row, found.group(1) or found.group(2)), text)

    paragraphs = (parsed.long_description or "").split("\n\n")
    summary = plain(parsed.short_description)
    return Words(
        summary=re.split(r"(?<=[.])\s", summary)[0],
        text="\n\n".join(filter(None, [summary, *map(plain, paragraphs)])),
        fields={each.arg_name: plain(each.description) for each in parsed.params},
    )


def spelled(row: Endpoint[Any], name: str) -> str:
    """Name a field as it is on the command line: ``--to-number``, ``CONTACT_ID``."""
    return name.upper() if name in _positional(row) else "--" + name.replace("_", "-")


def in_words_of_the_command(row: Endpoint[Any], error: InvalidRequestError) -> InvalidRequestError:
    """Say what is wrong with a request to somebody who typed a command."""
    problem = error.problem
    for python, command in _PYTHON:
        problem = problem.replace(python, command)
    problem = _NAME.sub(lambda found: _spelled_name(row, found.group()), problem)
    told = InvalidRequestError(spelled(row, error.field), problem, value=error.value)
    told.field, told.endpoint = error.field, row.name
    return told


def field_parameters(row: Endpoint[Any]) -> list[click.Parameter]:
    """Make the arguments and options of a row's command."""
    parameters: list[click.Parameter] = []
    positional = _positional(row)
    for field in row.fields():
        if field.name in positional:
            parameters.append(click.Argument([field.name], metavar=field.name.upper()))
        else:
            parameters.append(_option(row, field))
    if clearable := [field.name.replace("_", "-") for field in row.fields() if field.clearable]:
        parameters.append(
            click.Option(
                ["--clear", CLEAR],
                multiple=True,
                metavar="FIELD",
                type=click.Choice(clearable),
                help=f"Remove the value of a field; may be repeated. One of {', '.join(clearable)}.",
            )
        )
    return parameters


def values_of(row: Endpoint[Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Turn what a command was given into the arguments of the row's request.

    Raises:
        click.UsageError: If a field is both set and cleared.
    """
    values = {}
    for field in row.fields():
        value = given.get(field.name)
        if value not in (None, (), False):
            values[field.name] = value
    for option in given.get(CLEAR) or ():
        name = option.replace("-", "_")
        if values.get(name) is not None:
            msg = f"--{option} and --clear {option} contradict each other"
            raise click.UsageError(msg)
        values[name] = None
    return values


@cache
def _positional(row: Endpoint[Any]) -> frozenset[str]:
    request: Any = row.request
    return frozenset(each.name for each in attrs.fields(request) if not each.kw_only)


def _spelled_name(row: Endpoint[Any], name: str) -> str:
    if name in {field.name for field in row.fields()}:
        return spelled(row, name)
    return "pidj " + name.replace(".", " ").replace("_", "-") if name in BY_NAME else name


def _option(row: Endpoint[Any], field: FieldInfo) -> click.Option:
    flags = [spelled(row, field.name), field.name]
    text = words_of(row).fields.get(field.name, "")
    for pair in row.request.exactly_one_of:
        if field.name in pair:
            text += f" Exactly one of {spelled(row, pair[0])} and {spelled(row, pair[1])}."
    kind = field.kind
    if isinstance(kind, FlagKind):
        return click.Option(flags, is_flag=True, help=text)
    if kind.secret:
        return _secret_option(flags, field, text)
    if kind.multiple:
        text += " May be repeated."
    item = kind.item if isinstance(kind, ListKind) else kind
    return click.Option(
        flags,
        help=text,
        required=field.required,
        multiple=kind.multiple,
        metavar=_metavar(item),
        type=click.Choice(item.choices) if isinstance(item, ChoiceKind) else click.STRING,
    )


def _metavar(kind: Kind) -> str | None:
    if isinstance(kind, ChoiceKind):
        return None
    return f"{kind.prefix}…" if isinstance(kind, IdKind) else kind.label.upper().replace(" ", "-")


def _secret_option(flags: list[str], field: FieldInfo, text: str) -> click.Option:
    name = flags[0]
    text += f" '{name} -' asks for it at a hidden prompt, or reads the first line of standard input if that is no"
    text += " terminal. A value given here is visible to everybody on this machine while the command runs."
    if field.required:
        # Only here: a variable left over in a shell must not change the password of whoever is updated next.
        text += f" If left out, {PASSWORD_VARIABLE} is used, else it is asked for."

    def read(context: click.Context, _: click.Parameter, value: str | None) -> str | None:
        if context.resilient_parsing or (value is None and not field.required):
            return value
        if value is None or value == "-":
            value = _ask(name, asked_for=value == "-")
        context.ensure_object(Settings).secrets.add(value)
        return value

    return click.Option(
        flags,
        help=text,
        metavar="TEXT",
        envvar=PASSWORD_VARIABLE if field.required else None,
        callback=read,
    )


def _ask(name: str, *, asked_for: bool) -> str:
    if sys.stdin.isatty():
        answer: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return answer
    if not asked_for:
        msg = f"{name} is missing: set {PASSWORD_VARIABLE}, or pass '{name} -' and write it to standard input"
        raise click.UsageError(msg)
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        msg = f"{name} - found nothing on standard input"
        raise click.UsageError(msg)
    return line
