"""The server that everybody talks to: as little as can be, so that it is not what is measured.

It reads requests by ``Content-Length``, checks that each is a text that was meant to be sent, and writes a reply that
was prepared once. ``GET /counts`` tells how many requests were right and how many were not, and what CPU it has used.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, cast

import attrs

from benchmarks._host import pin, raise_file_limit
from benchmarks.texts import AUTHORIZATION, NUMBERS, PATH, form

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

__all__ = ["Counts", "serve"]

_BODY: Final = json.dumps({"code": 200, "status": "success", "message": "Message sent."}).encode()
_REPLY: Final = (
    b"HTTP/1.1 200 OK\r\nServer: benchmark\r\nDate: Wed, 01 Jan 2025 00:00:00 GMT\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)
_REQUEST_LINE: Final = f"POST {PATH} HTTP/1.1\r\n".encode()
_AUTHORIZATION: Final = f"\r\nauthorization: {AUTHORIZATION}\r\n".encode()
_CONTENT_TYPE: Final = b"\r\ncontent-type: application/x-www-form-urlencoded\r\n"
_BODIES: Final = frozenset(form(number) for number in NUMBERS)
_BACKLOG: Final = 4_096


@attrs.define
class Counts:
    """What a server has seen."""

    right: int = 0
    wrong: int = 0


class _Connection(asyncio.Protocol):
    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        while self._buffer:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            # Names of headers in lower case, values as they are: that is how each is looked for below.
            names = head.lower()
            start = names.find(b"\r\ncontent-length:")
            length = int(names[start + 17 :].partition(b"\r\n")[0]) if start >= 0 else 0
            if len(rest) < length:
                return
            body, self._buffer = rest[:length], rest[length:]
            self._answer(head, names, body)

    def _answer(self, head: bytes, names: bytes, body: bytes) -> None:
        assert self._transport is not None
        if head.startswith(b"GET /counts "):
            counts = json.dumps(attrs.asdict(self._counts) | {"cpu_seconds": time.process_time()}).encode()
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(counts), counts))
            return
        if _is_right(head + b"\r\n", names + b"\r\n", body):
            self._counts.right += 1
        else:
            self._counts.wrong += 1
        self._transport.write(_REPLY)


def _is_right(head: bytes, names: bytes, body: bytes) -> bool:
    where = names.find(b"\r\nauthorization: ")
    return (
        head.startswith(_REQUEST_LINE)
        and head[where + 17 : where + len(_AUTHORIZATION)] == _AUTHORIZATION[17:]
        and _CONTENT_TYPE in names
        and body in _BODIES
    )


@asynccontextmanager
async def serve(counts: Counts) -> AsyncGenerator[int, None]:
    """Serve on a free port of the loopback, and yield the port."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(counts), "127.0.0.1", 0, backlog=_BACKLOG)
    try:
        port: int = server.sockets[0].getsockname()[1]
        yield port
    finally:
        server.close()


async def _serve_until_input_ends() -> None:
    async with serve(Counts()) as port:
        print(port, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    raise_file_limit()
    pin(int(sys.argv[1]) if len(sys.argv) > 1 else None)
    gc.freeze()
    asyncio.run(_serve_until_input_ends())
