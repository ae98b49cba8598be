"""`FastTransport`: how it reads HTTP, and what it refuses."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Iterator
from typing import Any
from unittest import mock

import anyio
import anyio.to_thread
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pidj_async import (
    ConfigurationError,
    FastTransport,
    NotSentError,
    ResponseError,
)
from pidj_async.sansio import WireRequest, WireResponse
from pidj_async.transports import Progress
from pidj_async.transports.fast_connection import BadFramingError, Connection, LostReplyError
from pidj_async.transports.limits import Limits
from tests.faults import server as lab
from tests.faults.server import OK_BODY, Behaviour, FaultServer, FullBacklog, answer_properly, http_reply

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

WHOLE = {
    "length": (HEAD + b"Content-Length: 5\r\n\r\nhello", b"hello"),
    "empty": (HEAD + b"Content-Length: 0\r\n\r\n", b""),
    "chunks": (CHUNKED + b"2\r\nhe\r\n3;ext=1\r\nllo\r\n0\r\nX-Trailer: t\r\n\r\n", b"hello"),
    "204": (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", b""),
    "interim": (b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"Content-Length: 5\r\n\r\nhello", b"hello"),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
}

NO_HTTP = {
    "nonsense": b"hello, who are you?\r\n\r\n",
    "no CR": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
    "two lengths": HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi!",
    "length and chunks": HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "negative length": HEAD + b"Content-Length: -2\r\n\r\nhi",
    "folded header": HEAD + b"X-Name: a\r\n b\r\nContent-Length: 2\r\n\r\nhi",
    "space before colon": HEAD + b"Content-Length : 2\r\n\r\nhi",
    "other encoding": HEAD + b"Transfer-Encoding: gzip\r\n\r\nhi",
    "two encodings": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    "endless head": HEAD + b"X-Filler: " + b"x" * 70_000,
}

NO_BODY = {
    "chunk size": CHUNKED + b"2\r\nhi\r\nzz\r\n",
    "chunk without end": CHUNKED + b"2\r\nhi!",
    "endless extension": CHUNKED + b"2;" + b"x" * 70_000,
    "endless trailer": CHUNKED + b"2\r\nhi\r\n0\r\n" + b"X-Filler: x\r\n" * 7_000,
}


class Wire(asyncio.Transport):
    """The other end of a `Connection`, in memory: what is written to it, and what it is made to say."""

    def __init__(self, **limits: Any) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False
        self.paused = False
        self.lost: list[Connection] = []
        loop = asyncio.get_running_loop()
        self.connection = Connection(loop, Limits(**limits), self.lost.append)
        self.connection.connection_made(self)
        self.connection.opened()

    def say(self, data: bytes) -> None:
        while data:
            room = self.connection.get_buffer(-1)
            room[: len(data)] = data[: len(room)]
            size = min(len(data), len(room))
            self.connection.buffer_updated(size)
            data = data[size:]

    def hang_up(self) -> None:
        self.connection.eof_received()

    # ------------------------------------------------------------ what asyncio's transports have

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert (1, 0) == (high, low)

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        assert not self.paused
        self.paused = True

    def resume_reading(self) -> None:
        assert self.paused
        self.paused = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return mock.Mock(fileno=lambda: -1) if name == "socket" else default


def asked() -> tuple[Wire, asyncio.Future[WireResponse]]:
    wire = Wire()
    return wire, wire.connection.send(b"request", Progress())


# -------------------------------------------------------------------------------------------------------- whole replies


@pytest.mark.parametrize(("wire", "body"), WHOLE.values(), ids=WHOLE)
@given(cuts=st.lists(st.integers(1, 150), max_size=8))
async def test_a_reply_is_the_same_however_it_is_cut(wire: bytes, body: bytes, cuts: list[int]) -> None:
    """In any pieces, whole or while it arrives, and twice over the same connection."""
    end = Wire()
    for _ in range(2):
        whole = end.connection.send(b"request", Progress())
        _say_in_pieces(end, wire, cuts)
        assert body == (await whole).content
    head = end.connection.stream(b"request", Progress())
    _say_in_pieces(end, wire, cuts)
    assert body == b"".join([chunk async for chunk in await head])
    assert ([b"request"] * 3, False) == (end.written, end.closed)


def _say_in_pieces(end: Wire, data: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for start, stop in itertools.pairwise(places):
        end.say(data[start:stop])


@pytest.mark.parametrize("wire", NO_HTTP.values(), ids=NO_HTTP)
async def test_what_is_no_http_is_no_reply(wire: bytes) -> None:
    """The outcome is unknown, and the connection is closed."""
    end, reply = asked()
    end.say(wire)
    with pytest.raises(LostReplyError, match="RemoteProtocolError"):
        await reply
    assert end.closed


@pytest.mark.parametrize("wire", NO_BODY.values(), ids=NO_BODY)
async def test_a_body_that_is_no_http_keeps_its_status(wire: bytes) -> None:
    """Whole or while it arrives; and neither extensions of chunks nor trailers may go on for ever."""
    end, reply = asked()
    end.say(wire)
    with pytest.raises(BadFramingError) as caught:
        await reply
    assert (200, True) == (caught.value.status_code, end.closed)

    end = Wire()
    head = end.connection.stream(b"request", Progress())
    end.say(wire)
    arriving = await head
    with pytest.raises(BadFramingError):
        [chunk async for chunk in arriving]
    assert (200, True) == (arriving.status_code, end.closed)


@pytest.mark.parametrize(
    "wire", [HEAD[:10], HEAD, HEAD + b"Content-Length: 5\r\n\r\nhell", CHUNKED + b"5\r\nhello\r\n"]
)
async def test_a_reply_that_is_cut_off_is_none(wire: bytes) -> None:
    """Wherever it is cut."""
    end, reply = asked()
    end.say(wire)
    end.hang_up()
    with pytest.raises(LostReplyError, match="RemoteProtocolError"):
        await reply
    assert end.closed


async def test_a_connection_that_breaks_loses_the_reply() -> None:
    """With the system's word for it, and without."""
    for error, kind in ((OSError("reset"), "ReadError"), (None, "RemoteProtocolError")):
        end, reply = asked()
        end.connection.connection_lost(error)
        with pytest.raises(LostReplyError, match=kind):
            await reply
        assert [end.connection] == end.lost


async def test_a_reply_without_length_ends_with_the_connection() -> None:
    """Whole or while it arrives."""
    end, reply = asked()
    end.say(HEAD + b"\r\nhel")
    end.say(b"lo")
    assert not reply.done()
    end.hang_up()
    assert (b"hello", True) == ((await reply).content, end.closed)

    end = Wire()
    head = end.connection.stream(b"request", Progress())
    end.say(HEAD + b"\r\nhello")
    arriving = await head
    end.hang_up()
    assert [b"hello"] == [chunk async for chunk in arriving]


async def test_a_compressed_reply_without_length_may_be_cut_off_too() -> None:
    """Then its own end is missing."""
    end, reply = asked()
    end.say(HEAD + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b")
    end.hang_up()
    with pytest.raises(ResponseError, match="cut off"):
        await reply


@pytest.mark.parametrize(
    "wire",
    [
        HEAD + b"Content-Length: 5\r\nConnection: close\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        HEAD + b"Content-Length: 5\r\n\r\nhello" + HEAD,
        HEAD + b"Content-Length: 5\r\n\r\nhello, and more",
    ],
    ids=["announced", "HTTP/1.0", "second reply", "rest"],
)
async def test_a_connection_may_be_good_for_one_reply_only(wire: bytes) -> None:
    """The reply counts; the connection is closed."""
    end, reply = asked()
    end.say(wire)
    assert (b"hello", True) == ((await reply).content, end.closed)


async def test_another_protocol_is_not_talked() -> None:
    """101 is handed over, for the client to refuse, and the connection is closed."""
    end, reply = asked()
    end.say(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: tls\r\n\r\nwhatever")
    assert (101, b"", True) == ((await reply).status_code, (await reply).content, end.closed)


async def test_what_nobody_asked_for_ends_an_idle_connection() -> None:
    """Bytes or the end."""
    for said in ("HTTP/1.1 408 Request Timeout\r\n\r\n", ""):
        end = Wire()
        if said:
            end.say(said.encode())
        else:
            end.hang_up()
        assert not end.connection.is_usable()


# ------------------------------------------------------------------------------------------------------------ streaming


async def test_a_slow_reader_keeps_the_server_waiting() -> None:
    """What has come and was not read is bounded; once it is read, more may come."""
    end = Wire()
    head = end.connection.stream(b"request", Progress())
    end.say(HEAD + b"Content-Length: 1000000\r\n\r\n")
    arriving = await head
    sent = 0
    while not end.paused:
        end.say(bytes(50_000))
        sent += 50_000
    assert 256 * 1024 < sent < 512 * 1024

    while sent:
        assert end.paused
        sent -= len(await anext(arriving))
    assert not end.paused
    end.say(bytes(300_000))
    assert end.paused
    assert 300_000 == sum([len(await anext(arriving)) for _ in range(2)])  # as many as were said at once


async def test_silence_that_is_ours_is_not_the_servers() -> None:
    """While nothing is read because nobody takes it, the read timeout does not run."""
    clock = Clock()
    with clock.running():
        end = Wire(read_timeout=30.0)
        head = end.connection.stream(b"request", Progress())
        end.say(HEAD + b"Content-Length: 1000000\r\n\r\n" + bytes(500_000))
        arriving = await head
        clock.wait(100)
        assert (True, False) == (end.paused, end.closed)
        while end.paused:
            await anext(arriving)
        clock.wait(29.9)
        assert not end.closed
        clock.wait(0.2)
        with pytest.raises(LostReplyError, match="ReadTimeout"):
            [chunk async for chunk in arriving]


# --------------------------------------------------------------------------------------------------------------- clocks


async def test_a_connection_has_one_timer_for_all_its_requests() -> None:
    """A thousand requests set it once."""
    end = Wire()
    loop = asyncio.get_running_loop()
    with mock.patch.object(loop, "call_at", wraps=loop.call_at) as call_at:
        for _ in range(1_000):
            reply = end.connection.send(b"request", Progress())
            end.say(HEAD + b"Content-Length: 0\r\n\r\n")
            await reply
        assert 1 == call_at.call_count
    end.connection.abort()


class Clock:
    """The event loop's clock, set by hand, with the timers that hang on it."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self._timers: list[tuple[float, Any]] = []

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        with mock.patch.multiple(loop, time=lambda: self.now, call_at=self._call_at):
            yield

    def _call_at(self, when: float, callback: Any) -> Any:
        timer = (when, callback)
        self._timers.append(timer)
        return mock.Mock(cancel=lambda: self._timers.remove(timer) if timer in self._timers else None)

    def wait(self, seconds: float) -> None:
        """Let time pass, and the timers go off that are due, each at its time."""
        until = self.now + seconds
        while due := [timer for timer in self._timers if timer[0] <= until]:
            timer = min(due, key=lambda one: one[0])
            self._timers.remove(timer)
            self.now = max(self.now, timer[0])
            timer[1]()
        self.now = until


async def test_each_byte_begins_the_silence_anew() -> None:
    """Also in the request that comes while the timer of an earlier one runs; and it is neither cut short nor long."""
    clock = Clock()
    with clock.running():
        end = Wire(read_timeout=30.0)
        for _ in range(3):
            reply = end.connection.send(b"request", Progress())
            clock.wait(29)
            end.say(HEAD)
            clock.wait(29)
            end.say(b"Content-Length: 0\r\n\r\n")
            assert 200 == (await reply).status_code
            clock.wait(13)
        reply = end.connection.send(b"request", Progress())
        clock.wait(29.9)
        assert not reply.done()
        clock.wait(0.2)
        with pytest.raises(LostReplyError, match="ReadTimeout"):
            await reply
        assert end.closed


@pytest.mark.parametrize(("read_timeout", "write_timeout"), [(5.0, 30.0), (30.0, 5.0)])
async def test_a_request_that_is_not_written_has_its_own_patience(read_timeout: float, write_timeout: float) -> None:
    """write_timeout while the system takes no more, read_timeout afterwards; whichever is longer."""
    clock = Clock()
    with clock.running():
        for resumes, limit, kind in ((False, write_timeout, "WriteTimeout"), (True, read_timeout, "ReadTimeout")):
            end = Wire(read_timeout=read_timeout, write_timeout=write_timeout)
            reply = end.connection.send(b"request", Progress())
            end.connection.pause_writing()
            if resumes:
                clock.wait(write_timeout - 0.1)
                end.connection.resume_writing()
            clock.wait(limit - 0.1)
            assert not reply.done()
            clock.wait(0.2)
            with pytest.raises(LostReplyError, match=kind):
                await reply


async def test_an_answer_to_half_a_request_ends_the_connection() -> None:
    """The reply counts; but whoever used the connection next would send the other half."""
    end, reply = asked()
    end.connection.pause_writing()
    end.say(http_reply("413 Content Too Large"))
    assert (413, True) == ((await reply).status_code, end.closed)


# -------------------------------------------------------------------------------------------------------- the transport


def asking(base_url: str, **changes: Any) -> WireRequest:
    values = {
        "method": "POST",
        "url": f"{base_url}/send",
        "headers": (("Accept", "application/json"), ("X-Name", "value")),
        "content": b"a=b",
        "endpoint": "messages.send",
        **changes,
    }
    return WireRequest(**values)


async def test_a_request_is_written_exactly() -> None:
    """To the byte, with and without a body."""
    with FaultServer(Behaviour(on_request=answer_properly)) as server:
        async with FastTransport() as transport:
            await transport.send(asking(server.base_url), Progress())
            await transport.send(asking(server.base_url, method="GET", content=b""), Progress())
            await transport.send(asking(server.base_url, method="PUT", content=b""), Progress())
        same = (
            f" /api/2020/send HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
            "Accept: application/json\r\nX-Name: value\r\nAccept-Encoding: gzip, deflate\r\n"
        ).encode()
        assert [
            b"POST" + same + b"Content-Length: 3\r\n\r\na=b",
            b"GET" + same + b"\r\n",
            b"PUT" + same + b"Content-Length: 0\r\n\r\n",
        ] == [request.raw for request in server.requests]


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": (("X-Name", "a\r\nX-Other: b"),)},
        {"headers": (("X-Name: a\r\nX-Other", "b"),)},
        {"headers": (("X-Name", "ü"),)},
        {"url": "/send HTTP/1.1\r\nX-Other: b"},
        {"url": "/a b"},
        {"url": "/ü"},
    ],
)
async def test_nothing_can_be_slipped_into_a_request(changes: dict[str, Any]) -> None:
    """A line break in a header or a path would make two requests of one: nothing is sent."""
    with FaultServer(Behaviour()) as server:
        async with FastTransport() as transport:
            if "url" in changes:
                changes = {"url": server.base_url + changes["url"]}
            with pytest.raises(ConfigurationError):
                await transport.send(asking(server.base_url, **changes), Progress())
        assert server.connections == 0


async def test_a_connection_that_has_ended_is_seen_before_it_is_used() -> None:
    """The end has arrived, and the event loop, which was busy, does not know: nothing is written to it."""
    with FaultServer(Behaviour(on_request=reply_and_finish)) as server:
        async with FastTransport() as transport:
            await transport.send(asking(server.base_url), Progress())
            time.sleep(0.05)  # noqa: ASYNC251  that is how to keep an event loop busy
            await transport.send(asking(server.base_url), Progress())
        assert (2, 2) == (server.connections, len(server.requests))


def reply_and_finish(connection: lab.Connection, request: lab.Request) -> None:
    answer_properly(connection, request)
    connection.finish_sending()
    connection.await_client_close()


async def test_proxies_are_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Going round a proxy silently would be worse than not going; trust_env=False is to say that one wants to."""
    with pytest.raises(ConfigurationError, match="use HttpxTransport"):
        FastTransport(proxy="http://localhost:1")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with FaultServer(Behaviour(on_request=answer_properly)) as server:
        async with FastTransport() as transport:
            with pytest.raises(ConfigurationError, match="trust_env=False"):
                await transport.send(asking("https://pidj.invalid"), Progress())
            assert OK_BODY == (await transport.send(asking(server.base_url), Progress())).content
    async with FastTransport(trust_env=False) as transport:
        with pytest.raises(NotSentError):  # it tried, and there is no such host
            await transport.send(asking("https://" + "nobody" * 50 + ".invalid"), Progress())


async def test_closing_while_a_connection_is_made_sends_nothing() -> None:
    """The call ends with the connect timeout at the latest."""
    with FullBacklog() as target:
        transport = FastTransport(connect_timeout=0.2)
        async with anyio.create_task_group() as group:

            async def send() -> None:
                with pytest.raises(NotSentError):
                    await transport.send(asking(target.base_url), Progress())

            group.start_soon(send)
            await anyio.wait_all_tasks_blocked()
            await transport.aclose()


async def test_its_repr_tells_how_many_connections_are_open() -> None:
    """And no address, since that may hold a name."""
    with FaultServer(Behaviour(on_request=answer_properly)) as server:
        async with FastTransport() as transport:
            await transport.send(asking(server.base_url), Progress())
            assert "<FastTransport, connections: 1>" == repr(transport)
        assert "<FastTransport, connections: 0>" == repr(transport)
