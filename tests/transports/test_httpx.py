"""`HttpxTransport`: its connections, its limits, and how it tells "not sent" from "unknown"."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Iterator
from typing import Any

import anyio
import httpx
import pytest
import respx

from pidj_async import (
    NO_RETRIES,
    ConfigurationError,
    HttpxTransport,
    NotSentError,
    OutcomeUnknownError,
    Pidj,
    PidjError,
    ResponseError,
    SendText,
)
from tests.faults.server import (
    Behaviour,
    Connection,
    FaultServer,
    Request,
    answer_properly,
    certificate,
    trusting_context,
)
from tests.recorder import Recorder
from tests.scripted import texts

pytestmark = pytest.mark.anyio

TEXT = SendText(to_number="+18885553333", text_body="Hi", group_id="gr:1")


def client(transport: HttpxTransport, base_url: str = "https://pidj.invalid/api/2020") -> Pidj:
    return Pidj(account_key="k", token="t", base_url=base_url, transport=transport, retry=NO_RETRIES)


async def failure(pidj: Pidj) -> PidjError:
    with pytest.raises(PidjError) as raised:
        await pidj.execute(TEXT)
    return raised.value


# --------------------------------------------------------------------------------------------------- own connections


async def test_one_after_another_share_one_connection() -> None:
    """Keep-alive: ten texts, one handshake."""
    with FaultServer(Behaviour(on_request=answer_properly)) as server:
        async with HttpxTransport() as transport:
            for _ in range(10):
                await client(transport, server.base_url).execute(TEXT)
        assert (server.connections, len(server.requests)) == (1, 10)
        assert server.wait_all_closed(5.0)


async def test_no_more_connections_than_allowed() -> None:
    """200 texts, 50 at a time, through 5 connections: the others wait their turn."""
    with FaultServer(Behaviour(on_request=answer_properly)) as server:
        async with HttpxTransport(max_connections=5) as transport:
            pidj = client(transport, server.base_url)
            outcomes = [one async for one in pidj.messages.send_many(texts(200), concurrency=50)]
        assert all(outcome.accepted for outcome in outcomes)
        assert server.connections == 5


async def test_waiting_too_long_for_a_connection_is_not_sent() -> None:
    """Nothing of the request left, and the message names the two knobs."""
    with FaultServer(Behaviour(on_request=hold)) as server:
        async with (
            HttpxTransport(max_connections=1, pool_timeout=0.05) as transport,
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


async def test_an_old_connection_is_not_used_again() -> None:
    """After idle_timeout the server may be closing it, which would leave the next text's outcome unknown."""
    with FaultServer(Behaviour(on_request=answer_properly)) as server:
        async with HttpxTransport(idle_timeout=0.05) as transport:
            pidj = client(transport, server.base_url)
            await pidj.execute(TEXT)
            await anyio.sleep(0.1)
            await pidj.execute(TEXT)
        assert server.connections == 2


async def test_connections_left_over_from_a_burst_are_closed() -> None:
    """They do not stay open for as long as a single one is in use."""
    with FaultServer(Behaviour(on_request=answer_properly)) as server:
        async with HttpxTransport(idle_timeout=0.1) as transport:
            pidj = client(transport, server.base_url)
            async with anyio.create_task_group() as group:
                for _ in range(20):
                    group.start_soon(pidj.execute, TEXT)
            with anyio.fail_after(5):
                while server.open_connections > 1:
                    await pidj.execute(TEXT)
                    await anyio.sleep(0.02)


async def test_closing_ends_what_is_under_way_honestly() -> None:
    """A text whose reply was still awaited is unknown; no socket stays open."""
    with FaultServer(Behaviour(on_request=hold)) as server:
        errors = []
        transport = HttpxTransport()
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


async def test_two_addresses_keep_their_connections_apart() -> None:
    """One transport may serve clients of several servers."""
    with FaultServer(Behaviour(on_request=answer_properly)) as one, Recorder() as two:
        async with HttpxTransport() as transport:
            for _ in range(2):
                await client(transport, one.base_url).execute(TEXT)
                await client(transport, two.base_url).execute(TEXT)
    assert (len(one.requests), len(two.requests), one.connections) == (2, 2, 1)


@pytest.mark.parametrize("name", ["max_connections", "connect_timeout", "read_timeout", "max_response_bytes"])
def test_a_limit_that_makes_no_sense_is_refused(name: str) -> None:
    """Zero seconds or connections would fail every call."""
    with pytest.raises(ConfigurationError, match=name):
        HttpxTransport(**{name: 0})  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------ a caller's own client


async def test_a_callers_client_is_used_and_left_open() -> None:
    """Its connections carry the request; its authentication, cookies and redirects stay out of it."""
    redirect = (302, {"Location": "https://elsewhere.invalid/", "Set-Cookie": "a=b"}, b"")
    with Recorder(lambda _: redirect) as recorder:
        async with httpx.AsyncClient(auth=("other", "credentials"), cookies={"c": "d"}, follow_redirects=True) as own:
            async with HttpxTransport(own) as transport:
                error = await failure(client(transport, recorder.base_url))
            assert not own.is_closed

    assert isinstance(error, ResponseError)
    assert "redirect" in str(error)
    assert recorder.requests[0].headers["authorization"] == "Basic azp0"
    assert "cookie" not in recorder.requests[0].headers
    assert len(recorder.requests) == 1


@pytest.mark.parametrize("options", [{"read_timeout": 1.0}, {"proxy": "http://localhost:1"}, {"max_connections": 3}])
async def test_a_callers_client_brings_its_own_limits(options: dict[str, Any]) -> None:
    """An option that would be ignored is refused."""
    async with httpx.AsyncClient() as own:
        with pytest.raises(ConfigurationError, match=next(iter(options))):
            HttpxTransport(own, **options)


async def test_a_transport_that_does_not_trace_proves_nothing() -> None:
    """httpx-aiohttp reports a lost connection as ConnectTimeout: without a trace that is "unknown"."""

    def handler(request: httpx.Request) -> httpx.Response:
        msg = "lost, in truth"
        raise httpx.ConnectTimeout(msg, request=request)

    async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as own:
        error = await failure(client(HttpxTransport(own)))

    assert isinstance(error, OutcomeUnknownError)


@pytest.mark.parametrize(("limit", "error"), [(1_000, None), (10, ResponseError)])
async def test_a_mocked_client_of_the_callers_answers(limit: int, error: type[PidjError] | None) -> None:
    """Httpx's MockTransport hands over whole replies; the limit holds for them too."""
    mock = httpx.MockTransport(lambda _: httpx.Response(200, json={"status": "success", "message": "mocked"}))
    async with httpx.AsyncClient(transport=mock) as own:
        pidj = client(HttpxTransport(own, max_response_bytes=limit))
        if error is None:
            assert (await pidj.execute(TEXT)).message == "mocked"
        else:
            assert type(await failure(pidj)) is error


async def test_a_refused_connection_of_a_callers_client_is_not_sent() -> None:
    """Httpx's own transport traces, so here the proof holds."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with httpx.AsyncClient() as own:
        error = await failure(client(HttpxTransport(own), f"http://127.0.0.1:{port}"))

    assert isinstance(error, NotSentError)


# ------------------------------------------------------------------------------------------------------------- respx


@respx.mock
async def test_respx_mocks_the_default_transport() -> None:
    """People's tests go on working: respx sees our requests as httpx's."""
    route = respx.post("https://gopidj.com/api/2020/send").respond(json={"status": "success", "message": "mocked"})

    async with Pidj(account_key="k", token="t") as pidj:
        sent = await pidj.execute(TEXT)

    assert sent.message == "mocked"
    assert route.calls.last.request.content == b"to_number=%2B18885553333&text_body=Hi&group_id=gr%3A1"


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (httpx.ConnectError, NotSentError),
        (httpx.ConnectTimeout, NotSentError),
        (httpx.PoolTimeout, NotSentError),
        (httpx.ReadTimeout, OutcomeUnknownError),
        (httpx.ReadError, OutcomeUnknownError),
        (httpx.WriteError, OutcomeUnknownError),
        (httpx.RemoteProtocolError, OutcomeUnknownError),
        (RuntimeError, OutcomeUnknownError),
    ],
)
async def test_a_mocked_failure_means_what_the_real_one_does(
    raised: type[Exception], expected: type[PidjError]
) -> None:
    """The kind of error is the second witness: a mocked ReadTimeout comes without any trace."""
    with respx.mock:
        respx.post("https://gopidj.com/api/2020/send").mock(side_effect=raised("mocked"))
        async with Pidj(account_key="k", token="t", retry=NO_RETRIES) as pidj:
            error = await failure(pidj)

    assert type(error) is expected


# ------------------------------------------------------------------------------------------------------------ proxies


class Proxy:
    """A CONNECT proxy on loopback that leads every name to one port, or nowhere."""

    def __init__(self, port: int | None) -> None:
        self._port = port
        self.asked: list[str] = []
        self.authorization: list[str] = []

    @contextlib.contextmanager
    def serve(self) -> Iterator[str]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=self._accept, args=(listener,), daemon=True)
            thread.start()
            try:
                yield f"127.0.0.1:{listener.getsockname()[1]}"
            finally:
                with contextlib.suppress(OSError):
                    listener.shutdown(socket.SHUT_RDWR)
                thread.join(5)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client_side, _ = listener.accept()
            except OSError:
                return
            with client_side:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += client_side.recv(4096)
                lines = head.decode().split("\r\n")
                self.asked.append(lines[0])
                self.authorization += [line for line in lines if line.lower().startswith("proxy-authorization")]
                if self._port is None:
                    client_side.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
                    continue
                with socket.create_connection(("127.0.0.1", self._port)) as server_side:
                    client_side.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                    self._pump(client_side, server_side)

    @staticmethod
    def _pump(one: socket.socket, other: socket.socket) -> None:
        while True:
            for ready in select.select([one, other], [], [], 5)[0]:
                data = ready.recv(65536)
                if not data:
                    return
                (other if ready is one else one).sendall(data)


async def test_a_proxy_carries_the_request() -> None:
    """CONNECT with the proxy's own credentials, then TLS to Pidj: the proxy sees no token."""
    with FaultServer(Behaviour(on_request=answer_properly), tls=certificate("pidj.invalid")) as server:
        proxy = Proxy(server.port)
        with proxy.serve() as address:
            async with HttpxTransport(
                proxy=f"http://us%40er:pw@{address}", ssl_context=trusting_context()
            ) as transport:
                await client(transport).execute(TEXT)

    assert proxy.asked == ["CONNECT pidj.invalid:443 HTTP/1.1"]
    assert proxy.authorization == ["Proxy-Authorization: Basic dXNAZXI6cHc="]
    assert len(server.requests) == 1


async def test_a_proxy_that_cannot_connect_has_sent_nothing() -> None:
    """Its CONNECT is a request, but it tells Pidj nothing."""
    proxy = Proxy(None)
    with proxy.serve() as address:
        async with HttpxTransport(proxy=f"http://{address}") as transport:
            error = await failure(client(transport))

    assert len(proxy.asked) == 1
    assert isinstance(error, NotSentError)


async def test_the_environment_may_name_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTPS_PROXY and NO_PROXY are heard, unless trust_env is False; loopback is never proxied."""
    proxy = Proxy(None)
    with proxy.serve() as address, Recorder() as recorder:
        monkeypatch.setenv("https_proxy", f"http://{address}")
        monkeypatch.setenv("http_proxy", f"http://{address}")
        monkeypatch.setenv("no_proxy", "direct.invalid")
        async with HttpxTransport() as transport:
            await failure(client(transport))
            await client(transport, recorder.base_url).execute(TEXT)
        async with HttpxTransport(trust_env=False) as transport:
            await client(transport, recorder.base_url).execute(TEXT)

    assert proxy.asked == ["CONNECT pidj.invalid:443 HTTP/1.1"]
    assert len(recorder.requests) == 2


async def test_a_proxy_of_another_kind_is_refused() -> None:
    """SOCKS needs a library more; the way out is in the message."""
    async with HttpxTransport(proxy="socks5://localhost:1") as transport:
        with pytest.raises(ConfigurationError, match=r"HttpxTransport\(client="):
            await client(transport).execute(TEXT)
