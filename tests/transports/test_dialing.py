"""Opening a socket: which of a host's addresses, and how long for each."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any
from unittest import mock

import anyio
import anyio.to_thread
import pytest

from pidj_async import Pidj
from pidj_async.transports.dialing import dial, is_readable, read_buffer
from tests.carriers import CARRIERS
from tests.faults.server import Behaviour, FaultServer, FullBacklog, answer_properly, refused_port
from tests.faults.test_faults import sockets

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]


def resolving_to(*ports: int) -> Any:
    """Lets any name mean these ports on loopback."""
    kind = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
    found = [(*kind, ("127.0.0.1", port)) for port in ports]
    return mock.patch.object(asyncio.get_running_loop(), "getaddrinfo", mock.AsyncMock(return_value=found))


async def test_the_first_address_that_answers_is_taken() -> None:
    """One that refuses costs nothing; one that keeps silent costs its share of the time."""
    with refused_port() as refusing, FullBacklog() as silent, socket.create_server(("127.0.0.1", 0)) as answering:
        port = answering.getsockname()[1]
        with resolving_to(refusing, silent.port, port):
            begun = time.monotonic()
            sock = await dial("pidj.invalid", 443, patience=1.0)
            assert port == sock.getpeername()[1]
            assert time.monotonic() - begun > 0.4  # half of what was left for two
            sock.close()


async def test_an_address_that_is_silent_leaves_nothing_open() -> None:
    """Nor one that is given up half-way."""
    before = sockets()
    with FullBacklog() as silent, resolving_to(silent.port, silent.port):
        inside = sockets()
        with pytest.raises(TimeoutError):
            await dial("pidj.invalid", 443, patience=0.1)
        with anyio.move_on_after(0.05):
            await dial("pidj.invalid", 443, patience=5.0)
        assert inside == sockets()
    assert before == sockets()


async def test_a_name_without_an_address_is_an_error() -> None:
    """Which names it."""
    with resolving_to(), pytest.raises(OSError, match=r"pidj\.invalid has no address"):
        await dial("pidj.invalid", 443, patience=1.0)


@pytest.mark.parametrize("carrier", ["httpx", "fast"])
async def test_a_silent_address_does_not_keep_the_next_from_being_tried(carrier: str) -> None:
    """Within the connect timeout; IPv6 in many a network is such a one."""
    with FullBacklog() as silent, FaultServer(Behaviour(on_request=answer_properly)) as server:
        with resolving_to(silent.port, server.port):
            async with CARRIERS[carrier](connect_timeout=1.0) as transport:
                await Pidj(account_key="k", token="t", base_url="http://localhost", transport=transport).contacts.list()
        assert 1 == len(server.requests)


async def test_a_socket_tells_of_its_end() -> None:
    """Nothing to read, something to read, the end, and closed."""
    one, other = socket.socketpair()
    with one, other:
        assert not is_readable(one)
        other.send(b"x")
        assert is_readable(one)
        one.recv(1)
        other.close()
        assert is_readable(one)
    assert is_readable(one)


async def test_an_event_loop_has_one_buffer() -> None:
    """Another event loop, which may run in another thread, has another."""
    mine = read_buffer(asyncio.get_running_loop())
    assert mine is read_buffer(asyncio.get_running_loop())

    async def theirs() -> memoryview:
        return read_buffer(asyncio.get_running_loop())

    assert mine is not await anyio.to_thread.run_sync(asyncio.run, theirs())
