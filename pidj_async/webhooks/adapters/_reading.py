"""What the adapters share: a body is read within the receiver's limits, whichever way it comes."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Awaitable, Callable, Generator
from time import monotonic
from typing import TYPE_CHECKING, Final

import anyio
import attrs

from pidj_async._deadline import within
from pidj_async.webhooks.adapters.portal import receive_on_portal
from pidj_async.webhooks.http import WebhookReply, WebhookRequest

if TYPE_CHECKING:
    from pidj_async.webhooks.receiver import Receiver

__all__ = ["PIECE_BYTES", "ClientGoneError", "answer", "answer_blocking", "answer_checked", "linger"]

PIECE_BYTES: Final = 65_536
"""How much is asked for at once."""

LINGER_BYTES: Final = 1_048_576
LINGER_SECONDS: Final = 2.0
"""How much of a refused body is thrown away, and for how long, before the connection is closed."""

Read = Callable[[], Awaitable[tuple[bytes, bool]]]
"""Returns the next piece of a body, and whether more follows."""


class ClientGoneError(Exception):
    """The client has gone in the middle of the body: nobody to answer, and half a body is no event."""


# --- on an event loop ---------------------------------------------------------------------------------------------


async def answer(receiver: Receiver, request: WebhookRequest, read: Read) -> tuple[WebhookReply, bool]:
    """Have a request answered, reading as much of its body as it deserves.

    Args:
        receiver: Makes all the decisions.
        request: The request without its body.
        read: Reads the body. It is not called after it has said that nothing follows.

    Returns:
        The reply, and whether there is more of the body.

    Raises:
        ClientGoneError: `read` raised it.
    """
    refusal = receiver.check(request)
    if refusal is not None:
        return refusal, True
    return await answer_checked(receiver, request, read)


async def answer_checked(receiver: Receiver, request: WebhookRequest, read: Read) -> tuple[WebhookReply, bool]:
    """Go on where `answer` is when the receiver has let a request through."""
    came = await within(receiver.body_timeout, _read_body(read, receiver.max_body_bytes))
    if came is None:
        return receiver.body_too_slow(), True
    body, more = came
    if len(body) > receiver.max_body_bytes:
        return receiver.body_too_large(), more
    return await receiver.receive_checked(request, body), False


async def _read_body(read: Read, limit: int) -> tuple[bytes, bool]:
    """Read a whole body, or a little more of it than the limit; and say whether more follows."""
    piece, more = await read()
    if not more:
        return bytes(piece), False
    body = bytearray(piece)
    while more and len(body) <= limit:
        piece, more = await read()
        body += piece
    return bytes(body), more


async def linger(read: Read) -> None:
    """Throw away what the client is still sending, within reason.

    The reply is complete by now. But a connection that is closed while data waits in it is *reset*, and then the client
    may never see the reply (RFC 9112, section 9.6).
    """
    left = LINGER_BYTES
    more = True
    with anyio.move_on_after(LINGER_SECONDS), contextlib.suppress(ClientGoneError):
        while more and left > 0:
            piece, more = await read()
            left -= len(piece) or 1


# --- without one --------------------------------------------------------------------------------------------------


def answer_blocking(
    receiver: Receiver, request: WebhookRequest, read: Callable[[int], bytes], connection: object = None
) -> WebhookReply:
    """Have a request answered from a thread that has no event loop. The handlers run on the shared one.

    Args:
        receiver: Makes all the decisions.
        request: The request without its body.
        read: Returns at most so many bytes of the body, none at its end.
        connection: The socket that `read` reads from. Without it, only the pauses between pieces count as slow: how
            long a client may be silent is up to the server.

    Returns:
        The reply.
    """
    refusal = receiver.check(request)
    if refusal is not None:
        return refusal
    limit = receiver.body_timeout
    deadline = None if limit is None else monotonic() + limit
    body = bytearray()
    try:
        with _restored_timeout(connection):
            while True:
                _wait_until(connection, deadline)
                piece = read(PIECE_BYTES)
                body += piece
                if len(body) > receiver.max_body_bytes:
                    return receiver.body_too_large()
                if not piece:
                    break
    except Exception as error:  # noqa: BLE001  # each server has errors of its own for a body that is cut off or wrong
        slow = isinstance(error, TimeoutError) or (deadline is not None and monotonic() >= deadline)
        return receiver.body_too_slow() if slow else receiver.body_cut_off()
    length = request.header("content-length").strip()
    if length.isdecimal() and len(body) != int(length[:20]):
        return receiver.body_cut_off()
    return receive_on_portal(receiver, attrs.evolve(request, body=bytes(body)))


@contextlib.contextmanager
def _restored_timeout(connection: object) -> Generator[None]:
    if not isinstance(connection, socket.socket):
        yield
        return
    before = connection.gettimeout()
    try:
        yield
    finally:
        connection.settimeout(before)


def _wait_until(connection: object, deadline: float | None) -> None:
    """Have the next read fail at the deadline, or fail now if it is over."""
    if deadline is None:
        return
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError
    if isinstance(connection, socket.socket):
        connection.settimeout(left)
