"""What a row of the endpoint table is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import attrs

from pidj_async._fields import FieldInfo, Request, fields_of
from pidj_async.models import Model
from pidj_async.wire import form_encoder

__all__ = ["Endpoint"]

R = TypeVar("R")

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@attrs.frozen(eq=False, kw_only=True)
class Endpoint(Generic[R]):
    """One call of the API.

    Attributes:
        name: How it is called in code: ``"messages.send"`` is ``pidj.messages.send``.
        method: The HTTP verb.
        path: Below the base URL; ``{field}`` stands for a field of the request.
        request: The request's class.
        model: What the reply is read into.
        envelope: The key of the reply under which the result is; ``None`` if the reply itself is the result.
        many: The result is an array of `model`.
        renames: Fields of `model` that have another name on the wire.
        safe_to_repeat: Whether a request whose outcome is unknown may be sent again without harm.
        streamed: The client has a second method, ``stream``, that yields the results while the reply is arriving.
        secret_reply: The reply is a secret; no part of it may be shown.
        also: Other verbs that the vendor takes for the same call. The client never uses them.
    """

    name: str
    method: str
    path: str
    request: type[Request[R]]
    model: type[Model]
    envelope: str | None = None
    many: bool = False
    renames: Mapping[str, str] = attrs.field(factory=dict)
    safe_to_repeat: bool
    streamed: bool = False
    secret_reply: bool = False
    also: tuple[str, ...] = ()

    path_fields: tuple[str, ...] = attrs.field(init=False)
    form_fields: tuple[FieldInfo, ...] = attrs.field(init=False, repr=False)
    encode_form: Callable[[Request[R]], bytes] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        in_path = tuple(_PLACEHOLDER.findall(self.path))
        fields = fields_of(self.request)
        if strangers := set(in_path) - {field.name for field in fields if field.required}:
            msg = f"{self.name}: {sorted(strangers)} of the path are no required fields of {self.request.__name__}"
            raise TypeError(msg)
        object.__setattr__(self, "path_fields", in_path)
        in_form = tuple(field for field in fields if field.on_wire and field.name not in in_path)
        object.__setattr__(self, "form_fields", in_form)
        object.__setattr__(self, "encode_form", form_encoder(in_form))

    @property
    def namespace(self) -> str | None:
        """``"messages"`` for ``messages.send``; ``None`` for a call on the client itself."""
        head, dot, _ = self.name.rpartition(".")
        return head if dot else None

    @property
    def method_name(self) -> str:
        """``"send"`` for ``messages.send``."""
        return self.name.rpartition(".")[2]

    @property
    def has_body(self) -> bool:
        """Whether the call carries a form."""
        return bool(self.form_fields)

    def fields(self) -> tuple[FieldInfo, ...]:
        """Every field of the request, in the order of its constructor."""
        request: type[Request[Any]] = self.request
        return fields_of(request)
