"""What can go wrong on the wire, one function each, for `FaultServer`.

Where a reply has a body, it repeats the whole request, credentials included, as careless servers do on their error
pages: so each of these faults is also an attempt to make the client print a secret.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import functools
import gzip
import json
import zlib
from typing import TYPE_CHECKING

from .server import OK_BODY, answer_properly, http_reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from .server import Connection, Request

__all__ = [
    "BOMB_SIZE",
    "CLAIMED_SIZE",
    "DRIBBLED_SIZE",
    "STEP",
    "accept_then_close",
    "bad_chunking",
    "body_dribbled",
    "close_idle_connection",
    "close_reused_connection",
    "cut_handshake",
    "gzip_bomb",
    "gzip_cut",
    "gzip_without_trailer",
    "hang",
    "headers_dribbled",
    "hold_until_released",
    "html",
    "huge_body_claimed",
    "huge_body_endless",
    "json_cut",
    "json_of_wrong_shape",
    "never_shake_hands",
    "redirect",
    "refuse",
    "reset_before_headers",
    "reset_mid_body",
    "reset_mid_headers",
    "retry_after_date",
]

STEP = 0.02
"""Seconds between two bytes of a dribbled reply."""

BOMB_SIZE = 200 * 1024 * 1024
"""Bytes that `gzip_bomb` decodes to."""

CLAIMED_SIZE = 10 * 1024**3
"""Bytes that `huge_body_claimed` promises."""

DRIBBLED_SIZE = 60_000
"""Bytes that `body_dribbled` promises: a modest number, and 20 minutes' worth."""

_PIECE = b" " * 65_536


# Connections ------------------------------------------------------------------------------------------------------


def cut_handshake(connection: Connection) -> None:
    """Take the client's first words of TLS and hang up."""
    connection.receive()
    connection.close()


def never_shake_hands(connection: Connection) -> None:
    """Take the client's first words of TLS and never answer them."""
    connection.await_client_close()


def accept_then_close(connection: Connection) -> None:
    """Hang up before anything was read."""
    connection.close()


def reset_before_headers(connection: Connection, request: Request) -> None:  # noqa: ARG001
    """Read the request, then RST."""
    connection.reset()


def reset_mid_headers(connection: Connection, request: Request) -> None:  # noqa: ARG001
    """Send half a header, then RST."""
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: appl")
    connection.reset()


def reset_mid_body(connection: Connection, request: Request) -> None:  # noqa: ARG001
    """Send half a body, then RST."""
    connection.send(http_reply("200 OK", OK_BODY)[: -len(OK_BODY) // 2])
    connection.reset()


def headers_dribbled(connection: Connection, request: Request) -> None:  # noqa: ARG001
    """Send headers byte by byte and never come to their end."""
    _dribble(connection, b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Filler: ")


def body_dribbled(connection: Connection, request: Request) -> None:  # noqa: ARG001
    """Send the headers at once, then a body byte by byte that never comes to its end."""
    connection.send(
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {DRIBBLED_SIZE}\r\n\r\n".encode()
    )
    _dribble(connection, b'{"code":200,"status":"success","message":"')


def _dribble(connection: Connection, beginning: bytes) -> None:
    for byte in beginning:
        connection.send(bytes([byte]))
        connection.pause(STEP)
    while True:
        connection.send(b"x")
        connection.pause(STEP)


def hang(connection: Connection, request: Request) -> None:  # noqa: ARG001
    """Never reply, keep the connection."""
    connection.await_client_close()


def hold_until_released(connection: Connection, request: Request) -> None:
    """Reply properly, but only once the test calls `FaultServer.release`."""
    connection.server.released.wait()
    answer_properly(connection, request)


def close_idle_connection(connection: Connection, request: Request) -> None:
    """Reply, promise to keep the connection, and end it all the same before anything else arrives."""
    answer_properly(connection, request)
    connection.finish_sending()
    connection.server.record_half_close()
    connection.await_client_close()


def close_reused_connection(connection: Connection, request: Request) -> None:
    """Reply to a connection's first request; take its second and hang up: both sides crossed on the wire."""
    if connection.requests_read == 1:
        answer_properly(connection, request)
    else:
        connection.finish_sending()
        connection.await_client_close()


# Replies ----------------------------------------------------------------------------------------------------------


def refuse(status: str, *headers: str | Callable[[], str]) -> Callable[[Connection, Request], None]:
    """Make a behaviour that replies ``status`` with a regular envelope, credentials repeated in its message."""

    def behave(connection: Connection, request: Request) -> None:
        envelope = {"code": int(status[:3]), "status": "error", "message": f"Refused: {request.echo()}"}
        lines = [header if isinstance(header, str) else header() for header in headers]
        connection.send(http_reply(status, json.dumps(envelope).encode(), *lines))

    return behave


def retry_after_date() -> str:
    """Spell the header ``Retry-After`` with a date half a minute ahead."""
    moment = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=30)
    return f"Retry-After: {email.utils.format_datetime(moment, usegmt=True)}"


def html(status: str) -> Callable[[Connection, Request], None]:
    """Make a behaviour that replies ``status`` with a page for people."""

    def behave(connection: Connection, request: Request) -> None:
        page = f"<!doctype html><html><body><h1>{status}</h1><pre>{request.echo()}</pre></body></html>"
        connection.send(http_reply(status, page.encode(), content_type="text/html; charset=utf-8"))

    return behave


def json_cut(connection: Connection, request: Request) -> None:
    """Reply with JSON that ends in the middle of a string, in a reply that is complete."""
    body = f'{{"code":200,"status":"success","message":"{request.echo()}'.encode()
    connection.send(http_reply("200 OK", body))


def json_of_wrong_shape(connection: Connection, request: Request) -> None:
    """Reply with JSON that is no envelope."""
    connection.send(http_reply("200 OK", json.dumps(["success", request.echo()]).encode()))


def gzip_cut(connection: Connection, request: Request) -> None:
    """Reply with the first half of a gzip stream, in a reply that is complete."""
    whole = gzip.compress(_envelope_echoing(request))
    connection.send(http_reply("200 OK", whole[: len(whole) // 2], "Content-Encoding: gzip"))


def gzip_without_trailer(connection: Connection, request: Request) -> None:
    """Reply with a gzip stream that lost its last eight bytes: all data is there, its checksum and length are not."""
    whole = gzip.compress(_envelope_echoing(request))
    connection.send(http_reply("200 OK", whole[:-8], "Content-Encoding: gzip"))


def _envelope_echoing(request: Request) -> bytes:
    envelope = {"code": 200, "status": "success", "message": request.echo(), "contacts": []}
    return json.dumps(envelope).encode()


def gzip_bomb(connection: Connection, request: Request) -> None:  # noqa: ARG001
    """Reply with a few hundred kilobytes that decode to `BOMB_SIZE`."""
    connection.send(http_reply("200 OK", _bomb(), "Content-Encoding: gzip"))


@functools.cache
def _bomb() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    piece = b" " * (1024 * 1024)
    packed = [packer.compress(piece) for _ in range(BOMB_SIZE // len(piece))]
    return b"".join(packed) + packer.flush()


def huge_body_claimed(connection: Connection, request: Request) -> None:  # noqa: ARG001
    """Promise `CLAIMED_SIZE` and begin to deliver."""
    connection.send(
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {CLAIMED_SIZE}\r\n\r\n".encode()
    )
    while True:
        connection.send(_PIECE)


def huge_body_endless(connection: Connection, request: Request) -> None:  # noqa: ARG001
    """Send chunk after chunk, without a word on when it will end."""
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.send(b"%x\r\n%b\r\n" % (len(_PIECE), _PIECE))


def bad_chunking(connection: Connection, request: Request) -> None:
    """Send one good chunk, then a chunk size that is no number."""
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
    body = _envelope_echoing(request)
    connection.send(b"%x\r\n%b\r\nzz\r\n%b\r\n0\r\n\r\n" % (len(body), body, body))
    connection.await_client_close()


def redirect(status: str, location: str) -> Callable[[Connection, Request], None]:
    """Make a behaviour that sends the client to ``location``."""

    def behave(connection: Connection, request: Request) -> None:  # noqa: ARG001
        connection.send(http_reply(status, b"", f"Location: {location}", content_type="text/html"))

    return behave
