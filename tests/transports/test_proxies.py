"""Proxies, by the transports that know them."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Iterator

import pytest

from pidj_async import NO_RETRIES, ConfigurationError, NotSentError, Pidj, PidjError, SendText
from pidj_async.transports import Transport
from tests.carriers import CARRIERS
from tests.faults.server import Behaviour, FaultServer, answer_properly, certificate, trusting_context
from tests.recorder import Recorder

pytestmark = pytest.mark.anyio

WITH_PROXIES = pytest.mark.parametrize(
    ("carrier", "anyio_backend"),
    [
        pytest.param("httpx", "asyncio", id="httpx"),
        pytest.param("httpx", "trio", id="httpx-trio"),
        pytest.param("aiohttp", "asyncio", id="aiohttp"),
    ],
)

TEXT = SendText(to_number="+18885553333", text_body="Hi", group_id="gr:1")


def client(transport: Transport, base_url: str = "https://pidj.invalid/api/2020") -> Pidj:
    return Pidj(account_key="k", token="t", base_url=base_url, transport=transport, retry=NO_RETRIES)


async def failure(pidj: Pidj) -> PidjError:
    with pytest.raises(PidjError) as raised:
        await pidj.execute(TEXT)
    return raised.value


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


@WITH_PROXIES
async def test_a_proxy_carries_the_request(carrier: str) -> None:
    """CONNECT with the proxy's own credentials, then TLS to Pidj: the proxy sees no token."""
    with FaultServer(Behaviour(on_request=answer_properly), tls=certificate("pidj.invalid")) as server:
        proxy = Proxy(server.port)
        with proxy.serve() as address:
            async with CARRIERS[carrier](
                proxy=f"http://us%40er:pw@{address}", ssl_context=trusting_context()
            ) as transport:
                await client(transport).execute(TEXT)

    assert proxy.asked == ["CONNECT pidj.invalid:443 HTTP/1.1"]
    assert proxy.authorization == ["Proxy-Authorization: Basic dXNAZXI6cHc="]
    assert len(server.requests) == 1


@WITH_PROXIES
async def test_a_proxy_that_cannot_connect_has_sent_nothing(carrier: str) -> None:
    """Its CONNECT is a request, but it tells Pidj nothing."""
    proxy = Proxy(None)
    with proxy.serve() as address:
        async with CARRIERS[carrier](proxy=f"http://{address}") as transport:
            error = await failure(client(transport))

    assert len(proxy.asked) == 1
    assert isinstance(error, NotSentError)


@WITH_PROXIES
async def test_the_environment_may_name_a_proxy(carrier: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTPS_PROXY and NO_PROXY are heard, unless trust_env is False; loopback is never proxied."""
    proxy = Proxy(None)
    with proxy.serve() as address, Recorder() as recorder:
        monkeypatch.setenv("https_proxy", f"http://{address}")
        monkeypatch.setenv("http_proxy", f"http://{address}")
        monkeypatch.setenv("no_proxy", "direct.invalid")
        async with CARRIERS[carrier]() as transport:
            await failure(client(transport))
            await client(transport, recorder.base_url).execute(TEXT)
        async with CARRIERS[carrier](trust_env=False) as transport:
            await client(transport, recorder.base_url).execute(TEXT)

    assert proxy.asked == ["CONNECT pidj.invalid:443 HTTP/1.1"]
    assert len(recorder.requests) == 2


@WITH_PROXIES
async def test_a_proxy_of_another_kind_is_refused(carrier: str) -> None:
    """SOCKS needs a library more; the way out is in the message."""
    async with CARRIERS[carrier](proxy="socks5://localhost:1") as transport:
        with pytest.raises(ConfigurationError, match=r"HttpxTransport\(client="):
            await client(transport).execute(TEXT)
