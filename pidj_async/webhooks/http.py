"""An HTTP request and an HTTP reply, as adapters and receiver pass them to each other."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import cast

import attrs

__all__ = ["WebhookReply", "WebhookRequest", "json_reply"]

Headers = Mapping[str, str] | Iterable[tuple[str, str]]


def _lower_names(headers: Headers) -> tuple[tuple[str, str], ...]:
    # The usual type first: asking a list whether it is a Mapping takes longer than all the rest.
    several = isinstance(headers, (list, tuple)) or not isinstance(headers, Mapping)
    pairs = cast("Iterable[tuple[str, str]]", headers if several else cast("Mapping[str, str]", headers).items())
    return tuple([(name.lower(), value) for name, value in pairs])


@attrs.frozen(kw_only=True)
class WebhookRequest:
    """An HTTP request, as an adapter hands it over.

    Its repr shows neither path, query nor headers: each of them may hold the secret.

    Attributes:
        method: ``"POST"``, one hopes.
        path: The whole path, percent-decoded, without the query.
        query: What stood after the ``?``, as it was.
        headers: Names in lower case with their values; a mapping or pairs may be given.
        body: The body. Empty while only the rest has arrived: see `Receiver.check`.
        client_host: The address at the other end of the connection, ``None`` if it has none, as on a Unix socket. Not
            what headers say of it: reading those is the receiver's business.
    """

    method: str
    path: str = attrs.field(repr=False)
    query: str = attrs.field(default="", repr=False)
    headers: tuple[tuple[str, str], ...] = attrs.field(default=(), converter=_lower_names, repr=False)
    body: bytes = attrs.field(default=b"", repr=lambda body: f"<{len(body)} bytes>")
    client_host: str | None = None

    def header(self, name: str) -> str:
        """Return a header's value, the first one if it was sent twice, ``""`` if it was not sent.

        Args:
            name: The header's name, in lower case.
        """
        for each, value in self.headers:
            if each == name:
                return value
        return ""


def _encoded_headers(reply: WebhookReply) -> tuple[tuple[bytes, bytes], ...]:
    return tuple([(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers])


@attrs.frozen(kw_only=True)
class WebhookReply:
    """An HTTP reply, for an adapter to send.

    Attributes:
        status: The HTTP status.
        headers: Names in lower case with their values.
        body: A small JSON object.
        raw_headers: The headers as ASGI wants them.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    raw_headers: tuple[tuple[bytes, bytes], ...] = attrs.field(
        init=False, repr=False, eq=False, default=attrs.Factory(_encoded_headers, takes_self=True)
    )


def json_reply(code: int, /, *headers: tuple[str, str], **payload: str) -> WebhookReply:
    """Make a reply whose body is a small JSON object."""
    body = json.dumps(payload).encode()
    return WebhookReply(
        status=code,
        headers=(("content-type", "application/json"), ("content-length", str(len(body))), *headers),
        body=body,
    )
