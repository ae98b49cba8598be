"""Opening a socket on asyncio, looking at one, and where to read into."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import select
import socket
import time
import weakref
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, cast

__all__ = ["dial", "is_readable", "read_buffer", "watch"]

# family, type, protocol, canonical name, address
_Address = tuple[int, int, int, str, tuple[Any, ...]]


_READ_AT_ONCE = 256 * 1024  # bytes, as asyncio does
_buffers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, memoryview] = weakref.WeakKeyDictionary()


def read_buffer(loop: asyncio.AbstractEventLoop) -> memoryview:
    """The buffer that all `asyncio.BufferedProtocol` of an event loop may read into.

    One is enough, because an event loop hands over what it has read before it reads again. For each read asyncio would
    otherwise ask for as much memory anew, which costs more than everything else that is done for a small reply.
    """
    buffer = _buffers.get(loop)
    if buffer is None:
        buffer = _buffers[loop] = memoryview(bytearray(_READ_AT_ONCE))
    return buffer


async def dial(
    host: str,
    port: int,
    *,
    patience: float | None,
    local_address: str | None = None,
    options: Iterable[tuple[Any, ...]] = (),
) -> socket.socket:
    """Connect to the first address of a host that answers.

    Args:
        host: A name or a number.
        port: The port.
        patience: Seconds that the addresses share. The caller bounds the whole, name resolution included.
        local_address: Where to connect from.
        options: For ``setsockopt``.

    Raises:
        OSError: No address answered; `TimeoutError` if the last one kept silent.
        UnicodeError: The name cannot be written for DNS.
    """
    addresses = await _resolve(host, port)
    give_up_at = None if patience is None else time.monotonic() + patience
    error: OSError | None = None
    for place, (family, kind, protocol, _, address) in enumerate(addresses):
        # Each address gets its share of the time that is left, so that one that swallows packets (IPv6 in many a
        # network) does not keep the next from being tried.
        share = None if give_up_at is None else max(give_up_at - time.monotonic(), 0.0) / (len(addresses) - place)
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)  # noqa: FBT003  the standard library's own signature
            for option in options:
                sock.setsockopt(*option)
            if local_address is not None:
                sock.bind((local_address, 0))
            async with asyncio.timeout(share):
                await asyncio.get_running_loop().sock_connect(sock, address)
        except OSError as failure:  # TimeoutError is one
            sock.close()
            error = failure
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise error or OSError(f"{host} has no address")


async def _resolve(host: str, port: int) -> list[_Address]:
    try:
        # A thread to look up a number would take longer than the connection.
        version = ipaddress.ip_address(host).version
    except ValueError:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )
        return cast("list[_Address]", found)
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    # Said explicitly, because asyncio turns Nagle's algorithm off only for sockets that name the protocol.
    return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))]


def watch(sock: socket.socket) -> Callable[[], object]:
    """Make a function that says whether there is something to read from an open socket, the end included.

    What it returns is true or not; it is not a bool, because that would take another call for every request.
    """
    number = sock.fileno()
    if number < 0:
        return lambda: True
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(number, select.POLLIN)
        return partial(poll.poll, 0)
    # Windows: select takes any number there.
    return lambda: select.select([number], [], [], 0)[0]


def is_readable(sock: socket.socket) -> bool:
    """Whether there is something to read, the end of the connection included. A closed socket counts as that."""
    with contextlib.suppress(ValueError):
        return bool(watch(sock)())
    return True
