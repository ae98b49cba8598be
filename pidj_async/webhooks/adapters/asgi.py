"""A `Receiver` as an ASGI application: Starlette, FastAPI, Litestar, Quart, or uvicorn and hypercorn by themselves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Final

import anyio
import attrs

from pidj_async.webhooks.receiver import WebhookReply, WebhookRequest

if TYPE_CHECKING:
    from pidj_async.webhooks.receiver import Receiver

__all__ = ["ASGIApp", "asgi_app"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
"""An ASGI application, in the words of the standard library."""


LINGER_BYTES: Final = 1_048_576
LINGER_SECONDS: Final = 2.0
"""How much of a refused body is thrown away, and for how long, before the connection is closed."""


def asgi_app(receiver: Receiver) -> ASGIApp:
    """Make an ASGI application of a receiver.

    Args:
        receiver: Makes all the decisions.

    Returns:
        The application. It serves HTTP, takes part in the lifespan protocol, and refuses WebSockets.
    """

    async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await _http(receiver, scope, receive, send)
        elif scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "webhooks are posted"})
        else:
            msg = f"unknown ASGI scope {scope['type']!r}"  # as the ASGI specification asks of applications
            raise NotImplementedError(msg)

    return app


async def _http(receiver: Receiver, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    request = WebhookRequest(
        method=scope["method"],
        path=scope["path"],
        query=scope.get("query_string", b"").decode("utf-8", "replace"),
        headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
    )
    reply = receiver.check(request)
    unread = reply is not None
    if reply is None:
        body, unread = await _read_body(receiver, receive)
        if body is None:
            return  # the client has gone: nobody to answer, and half a body is no event
        reply = body if isinstance(body, WebhookReply) else await receiver.receive(attrs.evolve(request, body=body))
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers]
    if unread and scope.get("http_version", "1.1").startswith("1"):
        headers.append((b"connection", b"close"))  # HTTP/2 has other means, and forbids this header
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body, "more_body": unread})
    if unread:
        await _linger(receive)
        await send({"type": "http.response.body"})


async def _read_body(receiver: Receiver, receive: Receive) -> tuple[bytes | WebhookReply | None, bool]:
    """Return the body, the reply that ends the matter, or ``None`` if the client has gone; and whether more follows."""
    body = bytearray()
    more = True
    with anyio.move_on_after(receiver.body_timeout):
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None, False
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > receiver.max_body_bytes:
                return receiver.body_too_large(), more
        return bytes(body), False
    return receiver.body_too_slow(), True


async def _linger(receive: Receive) -> None:
    """Throw away what the client is still sending, within reason.

    The reply is complete by now. But a connection that is closed while data waits in it is *reset*, and then the client
    may never see the reply (RFC 9112, section 9.6).
    """
    left = LINGER_BYTES
    with anyio.move_on_after(LINGER_SECONDS):
        while left > 0:
            message = await receive()
            if message["type"] == "http.disconnect" or not message.get("more_body", False):
                return
            left -= len(message.get("body", b"")) or 1


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
