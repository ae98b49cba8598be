"""A `Receiver` as an ASGI application: Starlette, FastAPI, Litestar, Quart, or uvicorn and hypercorn by themselves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from pidj_async.webhooks.adapters._reading import ClientGoneError, answer_checked, linger
from pidj_async.webhooks.http import WebhookReply, WebhookRequest

if TYPE_CHECKING:
    from pidj_async.webhooks.receiver import Receiver

__all__ = ["ASGIApp", "asgi_app", "asgi_lifespan", "asgi_request"]

_REMEMBERED: Final = 512
"""Heads, each of about 2,000 bytes: those of one sender differ by the length of the body."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
"""An ASGI application, in the words of the standard library."""


def asgi_app(receiver: Receiver) -> ASGIApp:
    """Make an ASGI application of a receiver.

    Args:
        receiver: Makes all the decisions.

    Returns:
        The application. It serves HTTP, takes part in the lifespan protocol, and refuses WebSockets.
    """
    admitted = _door(receiver)

    async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await _other(receiver, scope, receive, send)
            return

        async def read() -> tuple[bytes, bool]:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            return message.get("body", b""), message.get("more_body", False)

        try:
            reply, unread = await answer_checked(receiver, admitted(*_head(scope)), read)
        except _RefusedError as refusal:
            reply, unread = refusal.reply, True
        except ClientGoneError:
            return
        headers = list(reply.raw_headers)
        if unread and scope.get("http_version", "1.1").startswith("1"):
            headers.append((b"connection", b"close"))  # HTTP/2 has other means, and forbids this header
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body, "more_body": unread})
        if unread:
            await linger(read)
            await send({"type": "http.response.body"})

    return app


def asgi_lifespan(app: Callable[[Any, Any, Any], Awaitable[None]], receiver: Receiver) -> ASGIApp:
    """Open a receiver's lifespan around an application that has none of its own, such as Django's.

    Args:
        app: The application, which gets all requests.
        receiver: Has an inbox whose events are to be handled in this process.

    Returns:
        The application to serve.
    """

    async def wrapped(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        await (_lifespan(receiver, receive, send) if scope["type"] == "lifespan" else app(scope, receive, send))

    return wrapped


def asgi_request(scope: MutableMapping[str, Any]) -> WebhookRequest:
    """Translate an ASGI scope into a request without its body."""
    return _request(*_head(scope))


Head = tuple[str, str, bytes, tuple[tuple[bytes, bytes], ...], str | None]
"""Method, path, query, headers, client: what is known of a request before its body is read."""


def _head(scope: MutableMapping[str, Any]) -> Head:
    return (
        scope["method"],
        scope["path"],
        scope.get("query_string", b""),
        tuple(map(tuple, scope["headers"])),
        (scope.get("client") or (None,))[0],
    )


def _request(
    method: str, path: str, query: bytes, headers: tuple[tuple[bytes, bytes], ...], client_host: str | None
) -> WebhookRequest:
    return WebhookRequest(
        method=method,
        path=path,
        query=query.decode("utf-8", "replace"),
        headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers],
        client_host=client_host,
    )


class _RefusedError(Exception):
    """The receiver does not want to see the body."""

    def __init__(self, reply: WebhookReply) -> None:
        super().__init__()
        self.reply = reply


def _door(receiver: Receiver) -> Callable[..., WebhookRequest]:
    """Make a function that takes a `Head`, and returns the request if the receiver lets it through.

    The requests of one sender have the same few heads again and again, and what is decided on depends on nothing else.
    So those that were let through are remembered. The others are not: an error is nothing that `lru_cache` keeps. The
    time that a look-up takes says nothing of a secret: heads are found by their hashes, which are keyed, and only of
    equal ones is the rest compared.
    """

    @lru_cache(maxsize=_REMEMBERED)
    def admitted(*head: *Head) -> WebhookRequest:
        request = _request(*head)
        refusal = receiver.check(request)
        if refusal is not None:
            raise _RefusedError(refusal)
        return request

    return admitted


async def _other(receiver: Receiver, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receiver, receive, send)
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": "webhooks are posted"})
    else:
        msg = f"unknown ASGI scope {scope['type']!r}"  # as the ASGI specification asks of applications
        raise NotImplementedError(msg)


async def _lifespan(receiver: Receiver, receive: Receive, send: Send) -> None:
    await receive()
    started = False
    try:
        async with receiver.lifespan():
            await send({"type": "lifespan.startup.complete"})
            started = True
            await receive()
    except Exception as error:
        moment = "shutdown" if started else "startup"
        await send({"type": f"lifespan.{moment}.failed", "message": str(error)})
        raise
    await send({"type": "lifespan.shutdown.complete"})
