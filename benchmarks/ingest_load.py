"""What ``python -m benchmarks ingest`` posts, and how: hand-written HTTP over asyncio's protocols, in its own process.

Each post is a text of its own, from a thousand phone numbers in turn. There are two ways to post: as fast as every
connection is answered (`saturate`), and so many a second, whether they are answered or not (`pace`).
"""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import sys
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Final, cast

import attrs

from benchmarks._host import pin, raise_file_limit
from benchmarks.ingest_server import WEBHOOK_PATH
from benchmarks.texts import NUMBERS, TOKEN
from pidj_async.webhooks import sample

__all__ = [
    "TIME_LIMIT",
    "Connection",
    "Load",
    "Posts",
    "RefusedError",
    "Wave",
    "connected",
    "pace",
    "perform",
    "saturate",
]

TIME_LIMIT: Final = 60.0
"""Seconds after which a load is given up, on top of what it was to measure."""

_WARM_UP: Final = 200
_AUTHORIZATION: Final = "Basic " + base64.b64encode(f"pidj:{TOKEN}".encode()).decode()
_OK: Final = b"HTTP/1.1 200 "
_TRACE: Final = b"T" * 32


@attrs.frozen(kw_only=True)
class Load:
    """What to post.

    Attributes:
        port: The server's, on the loopback.
        connections: How many are open.
        seconds: How long to post; what is under way by then is waited for, and counts.
        rate: How many posts a second; ``None`` for as many as the connections take.
        first: The number of the first post. No two posts to a server may have the same, or they would be duplicates.
        core: The core to run on.
        distinct_heads: Give each request a header of its own, as proxies do that trace requests.
    """

    port: int
    connections: int
    seconds: float
    rate: float | None
    first: int
    core: int | None = None
    distinct_heads: bool = False


@attrs.frozen(kw_only=True)
class Wave:
    """What came of it.

    Attributes:
        warm_up: How many posts went before; they are in none of the other figures.
        posts: How many were acknowledged.
        seconds: How long it took.
        p50: The median time until a post was acknowledged, in milliseconds.
        p99: The 99th percentile of the same.
        worst: The longest.
    """

    warm_up: int
    posts: int
    seconds: float
    p50: float
    p99: float
    worst: float


class RefusedError(RuntimeError):
    """A post was not acknowledged: the figures mean nothing."""


class Posts:
    """Endless requests, each with another text: the server may take none of them for a duplicate.

    Args:
        first: The number of the first one.
        distinct_heads: Give each a header of its own.
    """

    def __init__(self, first: int, *, distinct_heads: bool = False) -> None:
        self._number = first
        trace = f"X-Request-Id: {_TRACE.decode()}\r\n" if distinct_heads else ""
        payload = sample("text-received")
        payload["text"] |= {"message": "Text 0000000000", "phone_from": "PHONE"}
        payload["text"]["contact"]["phone"] = "PHONE"
        # As the vendor's server encodes it: without spaces, slashes escaped.
        self._body = json.dumps(payload, separators=(",", ":")).replace("/", "\\/").encode()
        length = len(self._body) + 2 * (len(NUMBERS[0]) - len("PHONE"))
        self._head = (
            f"POST {WEBHOOK_PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: GuzzleHttp/7\r\n"
            f"Authorization: {_AUTHORIZATION}\r\nContent-Type: application/json\r\n{trace}"
            f"Content-Length: {length}\r\n\r\n"
        ).encode()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        number, self._number = self._number, self._number + 1
        body = self._body.replace(b"0000000000", b"%010d" % number)
        return self._head.replace(_TRACE, b"%032d" % number) + body.replace(
            b"PHONE", NUMBERS[number % len(NUMBERS)].encode()
        )


class Connection(asyncio.Protocol):
    """One request at a time; tells when it is answered, or why it will not be."""

    def __init__(self) -> None:
        self.on_answer: Callable[[Connection], None] = lambda _: None
        self.on_failure: Callable[[Exception], None] = lambda _: None
        self.began = 0.0
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def post(self, request: bytes, began: float) -> None:
        assert self._transport is not None
        self.began = began
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        start = head.lower().find(b"\r\ncontent-length:")
        length = int(head[start + 17 :].partition(b"\r\n")[0]) if start >= 0 else 0
        if len(body) < length:
            return
        self._buffer = b""
        if not head.startswith(_OK):
            status = head.partition(b"\r\n")[0]
            self.on_failure(RefusedError(f"answered with {status!r}"))
            return
        self.on_answer(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.on_failure(exc or RefusedError("the server closed a connection"))

    def close(self) -> None:
        self.on_failure = lambda _: None
        if self._transport is not None:
            self._transport.close()


@asynccontextmanager
async def connected(load: Load) -> AsyncGenerator[list[Connection]]:
    loop = asyncio.get_running_loop()
    opened: list[Connection] = []
    try:
        for _ in range(load.connections):
            _, connection = await loop.create_connection(Connection, "127.0.0.1", load.port)
            opened.append(connection)
        yield opened
    finally:
        for connection in opened:
            connection.close()


async def saturate(connections: list[Connection], requests: Iterator[bytes], *, until: float, most: int) -> list[float]:
    """Post on every connection as soon as it is answered.

    Args:
        connections: The connections, all idle.
        requests: What to post.
        until: When to post no more, by `time.perf_counter`.
        most: How many to post at most.

    Returns:
        How long each post took, in seconds.

    Raises:
        RefusedError: One was not acknowledged.
    """
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    took: list[float] = []
    left, under_way = most, 0

    def post(connection: Connection, now: float) -> None:
        nonlocal left, under_way
        if left > 0 and now < until:
            left -= 1
            under_way += 1
            connection.post(next(requests), now)
        elif not under_way and not ended.done():
            ended.set_result(None)

    def answered(connection: Connection) -> None:
        nonlocal under_way
        now = time.perf_counter()
        took.append(now - connection.began)
        under_way -= 1
        post(connection, now)

    _listen(connections, answered, ended)
    for connection in connections:
        post(connection, time.perf_counter())
    await ended
    return took


async def pace(connections: list[Connection], requests: Iterator[bytes], *, rate: float, seconds: float) -> list[float]:
    """Post at equal intervals, on whichever connection is free.

    A post's time begins when it was due, even if it had to wait for a connection: a server that stalls is not spared
    the posts that would have come meanwhile.

    Args:
        connections: The connections, all idle.
        requests: What to post.
        rate: How many a second.
        seconds: For how long.

    Returns:
        How long each post took, in seconds.

    Raises:
        RefusedError: One was not acknowledged.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    took: list[float] = []
    idle, late = deque(connections), deque[float]()
    count, begun = max(1, round(rate * seconds)), 0
    start = loop.time() + 0.01

    def due() -> None:
        nonlocal begun
        now = loop.time()
        while begun < count and (at := start + begun / rate) <= now:
            begun += 1
            if idle:
                idle.popleft().post(next(requests), at)
            else:
                late.append(at)
        if begun < count:
            loop.call_at(start + begun / rate, due)

    def answered(connection: Connection) -> None:
        took.append(loop.time() - connection.began)
        if late:
            connection.post(next(requests), late.popleft())
        else:
            idle.append(connection)
        if len(took) == count and not ended.done():
            ended.set_result(None)

    _listen(connections, answered, ended)
    loop.call_at(start, due)
    await ended
    return took


def _listen(connections: list[Connection], answered: Callable[[Connection], None], ended: asyncio.Future[None]) -> None:
    def failed(error: Exception) -> None:
        if not ended.done():
            ended.set_exception(error)

    for connection in connections:
        connection.on_answer, connection.on_failure = answered, failed


def _percentile(ordered: list[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] * 1_000


async def perform(load: Load) -> Wave:
    """Open the connections, warm up, post."""
    async with asyncio.timeout(TIME_LIMIT + load.seconds), connected(load) as connections:
        requests = Posts(load.first, distinct_heads=load.distinct_heads)
        warm_up = await saturate(connections, requests, until=time.perf_counter() + TIME_LIMIT, most=_WARM_UP)
        start = time.perf_counter()
        if load.rate is None:
            took = await saturate(connections, requests, until=start + load.seconds, most=sys.maxsize)
        else:
            took = await pace(connections, requests, rate=load.rate, seconds=load.seconds)
        seconds = time.perf_counter() - start
    took.sort()
    return Wave(
        warm_up=len(warm_up),
        posts=len(took),
        seconds=seconds,
        p50=_percentile(took, 0.5),
        p99=_percentile(took, 0.99),
        worst=_percentile(took, 1.0),
    )


if __name__ == "__main__":
    the_load = Load(**json.loads(sys.argv[1]))
    raise_file_limit()
    pin(the_load.core)
    gc.freeze()
    print(json.dumps(attrs.asdict(asyncio.run(perform(the_load)))))
