"""The server that everybody talks to: as little as can be, so that it is not what is measured.

It reads requests by ``Content-Length``, checks that each is a text that was meant to be sent, and writes a reply that
was prepared once: at once, or after a while. ``GET /counts`` tells how many requests were right and how many were not,
how many texts went to somebody who had got one already, where nobody should, and for how long it was busy.

Where it has a core to itself it never sleeps. To send to a process that sleeps is to wake it, and on one machine that
takes the sender's CPU: the slower a client, the oftener it would pay for what no client of a distant server pays.
"""

from __future__ import annotations

import asyncio
import gc
import json
import math
import selectors
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, cast

import attrs

from benchmarks._host import pin, raise_file_limit
from benchmarks.dialects import DIALECTS, Dialect
from benchmarks.texts import NUMBERS, index_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

__all__ = ["Counts", "NeverAsleep", "ServerJob", "serve"]

_BACKLOG: Final = 4_096


@attrs.frozen(kw_only=True)
class ServerJob:
    """How to serve.

    Attributes:
        latency: After how many seconds each reply is written.
        people: How many there are who are to be texted once; 0 for the usual ones, who may be texted again and again.
        core: The core to run on.
        sleeps: Whether it waits for requests as every server does. Otherwise it looks for them without end, if it has a
            core to do so on.
    """

    latency: float = 0.0
    people: int = 0
    core: int | None = None
    sleeps: bool = False


class NeverAsleep(selectors.DefaultSelector):
    """Looks again and again where others would wait.

    Attributes:
        idle: How many seconds of CPU that took in vain.
    """

    def __init__(self) -> None:
        super().__init__()
        self.idle = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """See `selectors.BaseSelector.select`."""
        found = super().select(0)
        if found:
            return found
        cpu = time.process_time()
        until = math.inf if timeout is None else time.perf_counter() + timeout
        while not found and time.perf_counter() < until:
            found = super().select(0)
        self.idle += time.process_time() - cpu
        return found


class _Route:
    """A dialect as it stands on the wire."""

    def __init__(self, dialect: Dialect) -> None:
        body = json.dumps(dialect.reply).encode()
        head = (
            f"HTTP/1.1 {dialect.status}\r\nServer: benchmark\r\nDate: Wed, 01 Jan 2025 00:00:00 GMT\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.reply = head.encode() + body
        self._authorization = f"{dialect.authorization}\r\n".encode()
        self._content_type = f"\r\ncontent-type: {dialect.content_type}\r\n".encode()
        self._recipient = dialect.recipient

    def recipient(self, head: bytes, names: bytes, body: bytes) -> str | None:
        """Whom a request texts; ``None`` if there is anything wrong with it."""
        where = names.find(b"\r\nauthorization: ") + 17
        if where > 16 and head.startswith(self._authorization, where) and self._content_type in names:
            return self._recipient(body)
        return None


_ROUTES: Final = {f"POST {dialect.path} HTTP/1.1".encode(): _Route(dialect) for dialect in DIALECTS}
_USUAL: Final = next(iter(_ROUTES.values()))


class _Later:
    """Does things after the same while each: one timer is enough, because what comes first is due first."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: deque[tuple[float, Callable[[bytes], None], bytes]] = deque()

    def call(self, function: Callable[[bytes], None], argument: bytes) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + self._seconds
        self._waiting.append((due, function, argument))
        if len(self._waiting) == 1:
            loop.call_at(due, self._strike)

    def _strike(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._waiting and self._waiting[0][0] <= now:
            _, function, argument = self._waiting.popleft()
            function(argument)
        if self._waiting:
            loop.call_at(self._waiting[0][0], self._strike)


@attrs.define
class Counts:
    """What a server has seen."""

    right: int = 0
    wrong: int = 0
    twice: int = 0


class _Everybody:
    """The usual thousand, each as often as one likes."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._numbers = frozenset(NUMBERS)

    def count(self, number: str | None) -> None:
        if number in self._numbers:
            self._counts.right += 1
        else:
            self._counts.wrong += 1


class _EverybodyOnce:
    """So many people, of whom nobody is to be texted twice."""

    def __init__(self, counts: Counts, people: int) -> None:
        self._counts = counts
        self._texted = bytearray(people)

    def count(self, number: str | None) -> None:
        index = None if number is None else index_of(number)
        if index is None or index >= len(self._texted):
            self._counts.wrong += 1
        elif self._texted[index]:
            self._counts.twice += 1
        else:
            self._texted[index] = 1
            self._counts.right += 1


class _Connection(asyncio.Protocol):
    def __init__(
        self,
        counts: Counts,
        audience: _Everybody | _EverybodyOnce,
        later: _Later | None,
        busy_seconds: Callable[[], float],
    ) -> None:
        self._counts = counts
        self._busy_seconds = busy_seconds
        self._audience = audience
        self._later = later
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
            counts = json.dumps(attrs.asdict(self._counts) | {"busy_seconds": self._busy_seconds()}).encode()
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(counts), counts))
            return
        route = _ROUTES.get(head.partition(b"\r\n")[0])
        self._audience.count(None if route is None else route.recipient(head + b"\r\n", names + b"\r\n", body))
        reply = (route or _USUAL).reply
        if self._later is None:
            self._transport.write(reply)
        else:
            self._later.call(self._transport.write, reply)


@asynccontextmanager
async def serve(
    counts: Counts, latency: float = 0.0, people: int = 0, busy_seconds: Callable[[], float] = time.process_time
) -> AsyncGenerator[int, None]:
    """Serve on a free port of the loopback, and yield the port.

    Args:
        counts: What to count in.
        latency: See `ServerJob`.
        people: See `ServerJob`.
        busy_seconds: How to know for how long this process has been busy.
    """
    loop = asyncio.get_running_loop()
    later = _Later(latency) if latency else None
    audience = _EverybodyOnce(counts, people) if people else _Everybody(counts)
    server = await loop.create_server(
        lambda: _Connection(counts, audience, later, busy_seconds), "127.0.0.1", 0, backlog=_BACKLOG
    )
    try:
        port: int = server.sockets[0].getsockname()[1]
        yield port
    finally:
        server.close()


async def _serve_until_input_ends(job: ServerJob, busy_seconds: Callable[[], float]) -> None:
    async with serve(Counts(), job.latency, job.people, busy_seconds) as port:
        print(port, flush=True)
        await asyncio.to_thread(sys.stdin.read)


def _main(job: ServerJob) -> None:
    raise_file_limit()
    pin(job.core)
    gc.freeze()
    if job.sleeps or job.core is None:
        asyncio.run(_serve_until_input_ends(job, time.process_time))
        return
    selector = NeverAsleep()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        runner.run(_serve_until_input_ends(job, lambda: time.process_time() - selector.idle))


if __name__ == "__main__":
    _main(ServerJob(**json.loads(sys.argv[1])))
