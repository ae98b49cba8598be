"""What every transport promises of its connections and its limits."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import inspect
import warnings

import anyio
import anyio.to_thread
import attrs
import pytest

from pidj_async import (
    NO_RETRIES,
    ConfigurationError,
    NotSentError,
    OutcomeUnknownError,
    Pidj,
    PidjError,
    SendText,
    TransportError,
)
from pidj_async.sansio import WireRequest
from pidj_async.transports import Progress, Transport
from pidj_async.transports.limits import Limits
from tests.carriers import ASYNCIO_ONLY, CARRIERS, EVERY_TRANSPORT
from tests.faults.server import (
    OK_BODY,
    Behaviour,
    Certificate,
    Connection,
    FaultServer,
    Request,
    answer_properly,
    certificate,
    http_reply,
    trusting_context,
)
from tests.recorder import Recorder
from tests.scripted import texts

pytestmark = pytest.mark.anyio

EACH = pytest.mark.parametrize(("carrier", "anyio_backend"), EVERY_TRANSPORT)

TEXT = SendText(to_number="+18885553333", text_body="Hi", group_id="gr:1")


def client(transport: Transport, base_url: str) -> Pidj:
    return Pidj(account_key="k", token="t", base_url=base_url, transport=transport, retry=NO_RETRIES)


async def failure(pidj: Pidj) -> PidjError:
    with pytest.raises(PidjError) as raised:
        await pidj.execute(TEXT)
    return raised.value


@EACH
async def test_one_after_another_share_one_connection(carrier: str) -> None:
    """Keep-alive: ten texts, one handshake."""
    with FaultServer(Behaviour(on_request=answer_properly)) as server:
        async with CARRIERS[carrier]() as transport:
            for _ in range(10):
                await client(transport, server.base_url).execute(TEXT)
        assert (server.connections, len(server.requests)) == (1, 10)
        assert server.wait_all_closed(5.0)


@EACH
async def test_no_more_connections_than_allowed(carrier: str) -> None:
    """200 texts, 50 at a time, through 5 connections: the others wait their turn."""
    with FaultServer(Behaviour(on_request=answer_properly)) as server:
        async with CARRIERS[carrier](max_connections=5) as transport:
            pidj = client(transport, server.base_url)
            outcomes = [one async for one in pidj.messages.send_many(texts(200), concurrency=50)]
        assert all(outcome.accepted for outcome in outcomes)
        assert server.connections == 5


@EACH
async def test_waiting_too_long_for_a_connection_is_not_sent(carrier: str) -> None:
    """Nothing of the request left, and the message names the two knobs."""
    with FaultServer(Behaviour(on_request=hold)) as server:
        async with (
            CARRIERS[carrier](max_connections=1, pool_timeout=0.05) as transport,
            anyio.create_task_group() as group,
        ):
            pidj = client(transport, server.base_url)
            group.start_soon(failure_of, pidj)
            assert await anyio.to_thread.run_sync(server.wait_for_requests, 1, 5.0)
            error = await failure(pidj)
            assert isinstance(error, NotSentError)
            assert "max_connections or pool_timeout" in str(error)
            server.release()
        assert len(server.requests) == 1


def hold(connection: Connection, request: Request) -> None:
    connection.server.released.wait(5.0)
    answer_properly(connection, request)


async def failure_of(pidj: Pidj) -> None:
    with contextlib.suppress(PidjError):
        await pidj.execute(TEXT)


@EACH
async def test_an_old_connection_is_not_used_again(carrier: str) -> None:
    """After idle_timeout the server may be closing it, which would leave the next text's outcome unknown."""
    with FaultServer(Behaviour(on_request=answer_properly)) as server:
        async with CARRIERS[carrier](idle_timeout=0.05) as transport:
            pidj = client(transport, server.base_url)
            await pidj.execute(TEXT)
            await anyio.sleep(0.1)
            await pidj.execute(TEXT)
        assert server.connections == 2


@pytest.mark.parametrize(("carrier", "anyio_backend"), [one for one in EVERY_TRANSPORT if "aiohttp" not in one.values])
async def test_connections_left_over_from_a_burst_are_closed(carrier: str) -> None:
    """They do not stay open for as long as a single one is in use; aiohttp takes them in turn instead."""
    with FaultServer(Behaviour(on_request=answer_properly)) as server:
        async with CARRIERS[carrier](idle_timeout=0.1) as transport:
            pidj = client(transport, server.base_url)
            async with anyio.create_task_group() as group:
                for _ in range(20):
                    group.start_soon(pidj.execute, TEXT)
            with anyio.fail_after(5):
                while server.open_connections > 1:
                    await pidj.execute(TEXT)
                    await anyio.sleep(0.02)


@EACH
async def test_closing_ends_what_is_under_way_honestly(carrier: str) -> None:
    """A text whose reply was still awaited is unknown; no socket stays open."""
    with FaultServer(Behaviour(on_request=hold)) as server:
        errors = []
        transport = CARRIERS[carrier]()
        pidj = client(transport, server.base_url)

        async def send() -> None:
            errors.append(await failure(pidj))

        async with anyio.create_task_group() as group:
            group.start_soon(send)
            assert await anyio.to_thread.run_sync(server.wait_for_requests, 1, 5.0)
            await transport.aclose()
            await transport.aclose()
        server.release()
        assert server.wait_all_closed(5.0)

        assert [type(error) for error in errors] == [OutcomeUnknownError]
        assert isinstance(await failure(pidj), NotSentError)


@EACH
async def test_two_addresses_keep_their_connections_apart(carrier: str) -> None:
    """One transport may serve clients of several servers."""
    with FaultServer(Behaviour(on_request=answer_properly)) as one, Recorder() as two:
        async with CARRIERS[carrier]() as transport:
            for _ in range(2):
                await client(transport, one.base_url).execute(TEXT)
                await client(transport, two.base_url).execute(TEXT)
    assert (len(one.requests), len(two.requests), one.connections) == (2, 2, 1)


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("name", [field.name for field in attrs.fields(Limits)])
def test_a_limit_that_makes_no_sense_is_refused(carrier: str, name: str) -> None:
    """Zero seconds, connections or bytes would fail every call."""
    with pytest.raises(ConfigurationError, match=name):
        CARRIERS[carrier](**{name: 0})


@pytest.mark.parametrize("carrier", CARRIERS)
def test_options_are_the_same_everywhere(carrier: str) -> None:
    """By their names, and by what they are when they are left out."""
    given = inspect.signature(CARRIERS[carrier]).parameters
    others = {"ssl_context": None, "proxy": None, "trust_env": True}
    same = {field.name: field.default for field in attrs.fields(Limits)} | others
    assert same.keys() == given.keys() - {"client"}
    # httpx's None, which tells what was given together with a client, becomes the same.
    assert same == {name: same[name] if given[name].default is None else given[name].default for name in same}


# --------------------------------------------------------------------------------------------------- what goes wrong


@EACH
async def test_many_at_once_leave_nothing_open(carrier: str) -> None:
    """Three hundred over TLS, then closed: the server sees the end of each connection."""
    with FaultServer(Behaviour(on_request=answer_properly), tls=certificate("127.0.0.1")) as server:
        async with CARRIERS[carrier](max_connections=30, ssl_context=trusting_context(), trust_env=False) as transport:
            pidj = client(transport, server.base_url)
            outcomes = [one async for one in pidj.messages.send_many(texts(300), concurrency=100)]
        assert [True] * 300 == [outcome.accepted for outcome in outcomes]
        assert (300, True) == (len(server.requests), server.connections <= 30)
        assert await anyio.to_thread.run_sync(server.wait_all_closed, 5.0)


@EACH
async def test_a_connection_that_the_server_closes_is_not_used_again(carrier: str) -> None:
    """``Connection: close`` is heard: the next request goes out on another, and succeeds."""
    with FaultServer(Behaviour(on_request=answer_and_close)) as server:
        async with CARRIERS[carrier]() as transport:
            for _ in range(3):
                await client(transport, server.base_url).execute(TEXT)
        assert (3, 3) == (server.connections, len(server.requests))


def answer_and_close(connection: Connection, _: Request) -> None:
    connection.send(http_reply("200 OK", OK_BODY, "Connection: close"))
    connection.await_client_close()


@EACH
async def test_a_request_that_nobody_takes_is_bounded_and_unknown(carrier: str) -> None:
    """A server that stops reading in the middle of a request keeps it waiting no longer than write_timeout says."""
    request = asking("http://127.0.0.1:1", content=bytes(16 * 1024 * 1024))
    with FaultServer(Behaviour(on_accept=wait_for_release)) as server:
        async with CARRIERS[carrier](write_timeout=0.2, read_timeout=30.0) as transport:
            progress = Progress()
            with anyio.fail_after(10), pytest.raises(OutcomeUnknownError, match="timed out sending to"):
                await transport.send(attrs.evolve(request, url=f"{server.base_url}/send"), progress)
            assert progress.request_started
            server.release()


def wait_for_release(connection: Connection) -> None:
    connection.server.released.wait(10.0)
    connection.close()


def asking(base_url: str, *, content: bytes = b"") -> WireRequest:
    return WireRequest(
        method="POST", url=f"{base_url}/send", headers=(("Accept", "*/*"),), content=content, endpoint="messages.send"
    )


@EACH
@pytest.mark.parametrize("tls", [None, certificate("127.0.0.1")], ids=["plain", "TLS"])
async def test_a_server_that_hangs_up_at_once_is_told_of_truly(carrier: str, tls: Certificate | None) -> None:
    """Whether its end is noticed before the request is written or after, error and progress agree."""

    def leave(connection: Connection) -> None:
        if tls is not None:
            connection.start_tls(tls.server_context)
        connection.close()

    with FaultServer(Behaviour(on_accept=leave), tls=tls) as server:
        async with CARRIERS[carrier](ssl_context=trusting_context(), trust_env=False) as transport:
            for _ in range(10):
                progress = Progress()
                with pytest.raises(TransportError) as caught:
                    await transport.send(asking(server.base_url), progress)
                assert isinstance(caught.value, OutcomeUnknownError) == progress.request_started
        assert () == server.requests


@EACH
async def test_a_body_may_end_with_the_connection(carrier: str) -> None:
    """A reply that says nothing of its length is whole when the server has finished."""
    with FaultServer(Behaviour(on_request=answer_without_length)) as server:
        async with CARRIERS[carrier]() as transport:
            for _ in range(2):
                await client(transport, server.base_url).execute(TEXT)
        assert server.connections == 2


def answer_without_length(connection: Connection, _: Request) -> None:
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + OK_BODY)
    connection.finish_sending()
    connection.await_client_close()


@EACH
async def test_interim_replies_are_passed_over(carrier: str) -> None:
    """100 and 103 may come before the reply, in one piece with it or not."""
    with FaultServer(Behaviour(on_request=answer_after_interim_replies)) as server:
        async with CARRIERS[carrier]() as transport:
            for _ in range(3):
                reply = await transport.send(asking(server.base_url), Progress())
                assert (200, OK_BODY, None) == (reply.status_code, reply.content, reply.headers.get("link"))
        assert server.connections == 1


def answer_after_interim_replies(connection: Connection, _: Request) -> None:
    connection.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
    connection.pause(0.01)
    connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </y>\r\n\r\n" + http_reply("200 OK", OK_BODY))


@EACH
@pytest.mark.parametrize(
    "ending",
    [b"5\r\nabc", b"3\r\nabc\r\n", b"3\r\nabc\r\n0\r\n"],
    ids=["in a chunk", "between chunks", "before the end"],
)
async def test_a_chunked_body_that_is_cut_off_is_unknown(carrier: str, ending: bytes) -> None:
    """Whichever byte is the last, the end was not said."""

    def cut(connection: Connection, _: Request) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + ending)
        connection.finish_sending()
        connection.await_client_close()

    with FaultServer(Behaviour(on_request=cut)) as server:
        async with CARRIERS[carrier]() as transport:
            assert isinstance(await failure(client(transport, server.base_url)), OutcomeUnknownError)


@EACH
async def test_a_head_without_end_is_given_up(carrier: str) -> None:
    """Before it fills the memory, and not only when the deadline passes."""
    with FaultServer(Behaviour(on_request=send_headers_for_ever)) as server:
        async with CARRIERS[carrier](read_timeout=30.0) as transport:
            with anyio.fail_after(10):
                assert isinstance(await failure(client(transport, server.base_url)), OutcomeUnknownError)


def send_headers_for_ever(connection: Connection, _: Request) -> None:
    connection.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.send(b"X-Filler: " + b"x" * 1_000 + b"\r\n")


@EACH
async def test_a_compressed_reply_is_decompressed(carrier: str) -> None:
    """Gzip is asked for, and what comes is handed over plain."""
    body = gzip.compress(OK_BODY)
    answer = Behaviour(on_request=lambda c, _: c.send(http_reply("200 OK", body, "Content-Encoding: gzip")))
    with FaultServer(answer) as server:
        async with CARRIERS[carrier]() as transport:
            reply = await transport.send(asking(server.base_url), Progress())
        assert OK_BODY == reply.content
        assert ["gzip, deflate"] == [request.headers["accept-encoding"] for request in server.requests]


@EACH
async def test_a_repeated_header_counts_once(carrier: str) -> None:
    """Names are in lower case, and of a repeated header the last is kept; letters beyond ASCII are Latin-1."""
    answer = http_reply("200 OK", OK_BODY, "X-Name: one").replace(b"X-Name: one", b"X-Name: one\r\nx-name: tw\xf6")
    with FaultServer(Behaviour(on_request=lambda c, _: c.send(answer))) as server:
        async with CARRIERS[carrier]() as transport:
            reply = await transport.send(asking(server.base_url), Progress())
    assert "twö" == reply.headers["x-name"]


# ----------------------------------------------------------------------------------------------- the others than httpx


@pytest.mark.parametrize("carrier", [name for name in CARRIERS if name != "httpx"])
@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_a_transport_for_asyncio_says_so_on_trio(carrier: str) -> None:
    """Before anything is sent, with the way out."""
    with FaultServer(Behaviour()) as server:
        async with CARRIERS[carrier]() as transport:
            with pytest.raises(ConfigurationError, match="HttpxTransport, or transport='auto'"):
                await client(transport, server.base_url).execute(TEXT)
        assert server.connections == 0


@pytest.mark.parametrize("carrier", [name for name in CARRIERS if name != "httpx"])
def test_a_transport_outlives_its_event_loop(carrier: str) -> None:
    """In the next loop it begins anew: what was left open in the first one belongs to it."""
    with FaultServer(Behaviour(on_request=answer_properly)) as server:
        transport = CARRIERS[carrier]()

        async def send() -> None:
            await client(transport, server.base_url).execute(TEXT)

        async def send_and_close() -> None:
            await send()
            await transport.aclose()

        with warnings.catch_warnings():  # nobody closed what the first loop left open
            warnings.simplefilter("ignore", ResourceWarning)
            asyncio.run(send())
            asyncio.run(send_and_close())
            gc.collect()
        assert (2, 2) == (len(server.requests), server.connections)


@pytest.mark.parametrize(("carrier", "anyio_backend"), ASYNCIO_ONLY)
async def test_a_transport_serves_one_event_loop(carrier: str) -> None:
    """Used from a second one while the first is there, it says so; nothing is sent."""
    with FaultServer(Behaviour(on_request=answer_properly)) as server:
        async with CARRIERS[carrier]() as transport:
            pidj = client(transport, server.base_url)
            await pidj.execute(TEXT)
            with pytest.raises(ConfigurationError, match="another event loop"):
                await anyio.to_thread.run_sync(asyncio.run, pidj.execute(TEXT))
        assert len(server.requests) == 1
