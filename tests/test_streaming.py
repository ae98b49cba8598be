"""`contacts.stream`: contacts while the reply is still arriving, and what becomes of it when something goes wrong."""

from __future__ import annotations

import gc
import json
from typing import Any, Self

import anyio
import anyio.to_thread
import pytest

from pidj_async import (
    NO_RETRIES,
    AuthenticationError,
    ConfigurationError,
    HttpxTransport,
    NotSentError,
    OutcomeUnknownError,
    Pidj,
    RefusedError,
    ResponseError,
    RetryPolicy,
    Sandbox,
    ServerError,
)
from pidj_async.models import Contact
from pidj_async.requests import CheckAuthorization, ListGroups
from pidj_async.sansio import WireRequest, items_decoder
from pidj_async.streaming import Stream
from pidj_async.testing import MockPidj, refusal, success
from pidj_async.transports import Progress
from tests.faults.server import Behaviour, Connection, FaultServer, Request, http_reply
from tests.scripted import Scripted, replies

pytestmark = pytest.mark.anyio

PATIENCE = 5.0  # seconds: for what must come, however busy the machine is
FAST = RetryPolicy(max_attempts=3, initial_delay=0.0, max_delay=0.0, max_retry_after=0.0)
HANG = object()


def body_of(count: int, **around: Any) -> bytes:
    people = [{"id": f"co:{number}", "first_name": "Jo"} for number in range(count)]
    return json.dumps({"code": 200, "status": "success", **around, "contacts": people}).encode()


def halves(count: int) -> tuple[bytes, bytes]:
    body = body_of(count)
    return body[: len(body) // 2], body[len(body) // 2 :]


class Reply:
    """A reply that comes in the given pieces. An exception among them is raised, `HANG` never comes.

    Attributes:
        gone: Set when somebody closes it before its end.
    """

    def __init__(self, *pieces: Any, status_code: int = 200) -> None:
        self.gone = anyio.Event()
        self.status_code = status_code
        self.headers = {"content-type": "application/json"}
        self.closed = False
        self._pieces = list(pieces)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        await anyio.lowlevel.checkpoint()
        if self.closed or not self._pieces:
            self.closed = True
            raise StopAsyncIteration
        piece = self._pieces.pop(0)
        if piece is HANG:
            await anyio.sleep_forever()
        if isinstance(piece, Exception):
            raise piece
        assert isinstance(piece, bytes)
        return piece

    async def aclose(self) -> None:
        self.closed = True
        self.gone.set()


class Streaming(Scripted):
    """A transport that answers with the given replies, or errors, one after another."""

    def __init__(self, *answers: Reply | Exception) -> None:
        super().__init__(replies())
        self._answers = list(answers)

    async def stream(self, request: WireRequest, progress: Progress, *, max_bytes: int | None = None) -> Reply:
        self.requests.append(request)
        self.max_bytes = max_bytes
        answer = self._answers.pop(0)
        if isinstance(answer, NotSentError):
            raise answer
        progress.request_started = True
        if isinstance(answer, Exception):
            raise answer
        return answer


def client(*answers: Reply | Exception, **options: Any) -> tuple[Pidj, Streaming]:
    transport = Streaming(*answers)
    options = {"retry": FAST, **options}
    return Pidj(account_key="key", token="token", transport=transport, **options), transport


async def ids_of(stream: Stream[Contact]) -> list[str]:
    return [contact.id async for contact in stream]


def lost() -> OutcomeUnknownError:
    return OutcomeUnknownError("contacts.stream: lost")


# ---------------------------------------------------------------------------------------------------------- what comes


async def test_it_yields_what_list_returns() -> None:
    """From a sandbox, over a real connection."""
    with Sandbox() as sandbox:
        pidj = Pidj(base_url=sandbox.base_url, account_key=sandbox.account_key, token=sandbox.token)
        async with pidj:
            for number in range(20):
                await pidj.contacts.create(phone_number=f"+1888555{number:04}", first_name="Jo")
            assert await pidj.contacts.list() == tuple([one async for one in pidj.contacts.stream()])


async def test_contacts_come_while_the_reply_arrives() -> None:
    """Half of them are there before the second half was sent."""
    first, second = halves(1_000)

    def half(connection: Connection, _: Request) -> None:
        head = http_reply("200 OK").replace(b"Content-Length: 0", b"Content-Length: %d" % len(first + second))
        connection.send(head + first)
        connection.server.released.wait(PATIENCE)
        connection.send(second)

    with FaultServer(Behaviour(on_request=half)) as server:
        async with Pidj(account_key="k", token="t", base_url=server.base_url) as pidj:
            stream = pidj.contacts.stream()
            early = [(await anext(stream)).id for _ in range(490)]
            server.release()
            late = await ids_of(stream)
    assert [f"co:{number}" for number in range(1_000)] == early + late


async def test_it_asks_for_no_more_than_is_taken() -> None:
    """One wait, one piece: a slow reader slows the server down, and its memory stays as it is."""
    first, second = halves(1_000)
    reply = Reply(first, second)
    pidj, transport = client(reply)
    async with pidj.contacts.stream() as contacts:
        await anext(contacts)
        assert 1 == len(reply._pieces)
    assert transport.max_bytes is None


async def test_nothing_is_asked_before_it_is_iterated() -> None:
    """Making a stream is no call."""
    pidj, transport = client()
    stream = pidj.contacts.stream()
    await stream.aclose()
    assert ([], []) == (await ids_of(stream), transport.requests)


async def test_an_account_without_contacts_yields_none() -> None:
    """And a second iteration begins nothing anew."""
    pidj, transport = client(Reply(body_of(0)))
    stream = pidj.contacts.stream()
    assert ([], [], 1) == (await ids_of(stream), await ids_of(stream), len(transport.requests))


async def test_a_request_as_a_value_can_be_streamed() -> None:
    """Whatever returns many; what returns one is refused before anything is sent."""
    pidj, transport = client(Reply(json.dumps(success("groups.list")).encode()))
    assert [group.name async for group in pidj.stream(ListGroups())]
    with pytest.raises(TypeError, match="check_authorization returns one Confirmation"):
        pidj.stream(CheckAuthorization())  # type: ignore[arg-type]
    assert ["groups.stream"] == [request.endpoint for request in transport.requests]


async def test_a_transport_that_cannot_stream_says_so() -> None:
    """With the way out."""
    pidj = Pidj(account_key="key", token="token", transport=Scripted(replies(contacts=[])))
    with pytest.raises(ConfigurationError, match=r"Scripted cannot stream.*contacts\.list\(\)"):
        pidj.contacts.stream()


async def test_streams_leave_nothing_behind() -> None:
    """What is prepared for a stream is prepared once."""
    pidj, _ = client(*(Reply(body_of(1)) for _ in range(20)))
    await ids_of(pidj.contacts.stream())
    before = items_decoder.cache_info().currsize
    for _ in range(19):
        await ids_of(pidj.contacts.stream())
    assert before == items_decoder.cache_info().currsize


async def test_mocks_can_be_streamed() -> None:
    """`MockPidj` answers as for `contacts.list`."""
    async with MockPidj() as mock:
        mock.route("contacts.list").respond(json=success("contacts.list", {"first_name": "Jo"}, {"first_name": "Al"}))
        assert ["Jo", "Al"] == [one.first_name async for one in mock.pidj.contacts.stream()]
        mock.route("contacts.list").respond(401, json=refusal("Who?", code=401))
        with pytest.raises(AuthenticationError):
            await ids_of(mock.pidj.contacts.stream())


# ------------------------------------------------------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (lambda: Reply(b'{"code":401,"status":"error"}', status_code=401), AuthenticationError),
        (lambda: Reply(b'{"code":200,"status":"failure"}'), RefusedError),
        (lambda: Reply(b"<html>"), ResponseError),
        (lambda: Reply(body_of(3)[:-1]), ResponseError),
        (lambda: Reply(body_of(3).replace(b'"contacts"', b'"others"')), ResponseError),
    ],
)
async def test_it_raises_what_list_raises(reply: Any, error: type[Exception]) -> None:
    """Once, because repeating would not mend it; and the connection is closed."""
    one = reply()
    pidj, transport = client(one)
    with pytest.raises(error) as caught:
        await ids_of(pidj.contacts.stream())
    assert (1, True) == (len(transport.requests), one.closed)
    assert ("contacts.stream", 1) == (caught.value.endpoint, caught.value.attempts)  # type: ignore[attr-defined]


async def test_beginning_is_tried_again() -> None:
    """Nothing was handed over yet: a broken connection, a 503 and half an envelope are simply asked for again."""
    pidj, transport = client(
        Reply(b'{"code":200,', lost()),
        Reply(b"{}", status_code=503),
        NotSentError("refused"),
        Reply(body_of(2)),
        retry=RetryPolicy(max_attempts=4, initial_delay=0.0, max_delay=0.0),
    )
    assert (["co:0", "co:1"], 4) == (await ids_of(pidj.contacts.stream()), len(transport.requests))


async def test_what_was_handed_over_is_not_handed_over_twice() -> None:
    """A connection that breaks later is an error, not another try."""
    first, _ = halves(100)
    pidj, transport = client(Reply(first, lost()), Reply(body_of(100)))
    stream = pidj.contacts.stream()
    seen = [(await anext(stream)).id for _ in range(45)]
    with pytest.raises(OutcomeUnknownError, match="lost") as caught:
        seen += await ids_of(stream)
    assert 1 == len(transport.requests)
    assert ("contacts.stream", 1) == (caught.value.endpoint, caught.value.attempts)
    assert ([f"co:{number}" for number in range(45)], []) == (seen, await ids_of(stream))


async def test_tries_run_out() -> None:
    """The error of the last one is raised."""
    pidj, transport = client(Reply(b"{}", status_code=500), Reply(b"{}", status_code=502), Reply(b"", status_code=503))
    with pytest.raises(ServerError, match="503") as caught:
        await ids_of(pidj.contacts.stream())
    assert (3, 3) == (len(transport.requests), caught.value.attempts)


@pytest.mark.parametrize("before", [[], [halves(100)[0]]])
async def test_the_deadline_bounds_each_wait(before: list[bytes]) -> None:
    """For the first contact and for a later one."""
    reply = Reply(*before, HANG)
    pidj, _ = client(reply, deadline=0.05)
    with pytest.raises(OutcomeUnknownError, match=r"deadline of 0\.05 s"):
        await ids_of(pidj.contacts.stream())
    assert reply.closed


async def test_a_slow_reader_is_in_time() -> None:
    """What the program does between two contacts is not the reply's fault."""
    first, second = halves(100)
    pidj, _ = client(Reply(first, second), deadline=0.5)
    stream = pidj.contacts.stream()
    await anext(stream)
    await anyio.sleep(0.6)
    assert 99 == len(await ids_of(stream))


async def test_silence_is_bounded_by_the_read_timeout() -> None:
    """Of the transport, whatever the deadline."""
    first, second = halves(1_000)

    def half(connection: Connection, _: Request) -> None:
        head = http_reply("200 OK").replace(b"Content-Length: 0", b"Content-Length: %d" % len(first + second))
        connection.send(head + first)
        connection.await_client_close()

    with FaultServer(Behaviour(on_request=half)) as server:
        async with HttpxTransport(read_timeout=1.0) as transport:
            pidj = Pidj(account_key="k", token="t", base_url=server.base_url, transport=transport, retry=NO_RETRIES)
            stream = pidj.contacts.stream()
            await anext(stream)
            with pytest.raises(OutcomeUnknownError, match="timed out"):
                await ids_of(stream)
        assert await anyio.to_thread.run_sync(server.wait_all_closed, PATIENCE)


# ---------------------------------------------------------------------------------------------------------- left early


async def test_leaving_the_block_closes_the_reply() -> None:
    """At once, and what was read and not taken is gone too."""
    first, second = halves(100)
    reply = Reply(first, second)
    pidj, _ = client(reply)
    async with pidj.contacts.stream() as contacts:
        async for _contact in contacts:
            break
    assert (True, []) == (reply.closed, await ids_of(contacts))


async def test_leaving_the_loop_closes_the_reply() -> None:
    """As soon as the stream is forgotten, and without a word."""
    first, second = halves(100)
    reply = Reply(first, second)
    pidj, _ = client(reply)
    async for _contact in pidj.contacts.stream():
        break
    gc.collect()
    with anyio.fail_after(PATIENCE):
        await reply.gone.wait()
    assert reply.closed


async def test_being_cancelled_closes_the_reply() -> None:
    """While waiting for a contact; the note says what is known."""
    reply = Reply(halves(100)[0], HANG)
    pidj, _ = client(reply)
    with anyio.move_on_after(0.05) as scope:
        await ids_of(pidj.contacts.stream())
    assert (True, True) == (scope.cancelled_caught, reply.closed)


async def test_a_stream_that_is_left_frees_its_connection() -> None:
    """Over a real one: the server sees the end of it, and the only slot is free again."""
    first, second = halves(1_000)

    def half(connection: Connection, _: Request) -> None:
        head = http_reply("200 OK").replace(b"Content-Length: 0", b"Content-Length: %d" % len(first + second))
        connection.send(head + first)
        connection.await_client_close()

    with FaultServer(Behaviour(on_request=half), then_ok=1) as server:
        async with HttpxTransport(max_connections=1) as transport:
            pidj = Pidj(account_key="k", token="t", base_url=server.base_url, transport=transport)
            async for _contact in pidj.contacts.stream():
                break
            gc.collect()
            assert () == await pidj.contacts.list()
            assert 2 == server.connections
        assert await anyio.to_thread.run_sync(server.wait_all_closed, PATIENCE)


async def test_a_closed_client_streams_nothing() -> None:
    """As with every call, nothing is sent."""
    async with Pidj(account_key="k", token="t", base_url="http://127.0.0.1:1", retry=NO_RETRIES) as pidj:
        pass
    with pytest.raises(NotSentError, match="the client is closed"):
        await ids_of(pidj.contacts.stream())
