"""Opening a socket on asyncio, and looking at one."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import select
import socket
import time
from collections.abc import Iterable
from typing import Any, cast

__all__ = ["dial", "is_readable"]

# family, type, protocol, canonical name, address
_Address = tuple[int, int, int, str, tuple[Any, ...]]


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


def is_readable(sock: socket.socket) -> bool:
    """Whether there is something to read, the end of the connection included. A closed socket counts as that."""
    number = sock.fileno()
    if number < 0:
        return True
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(number, select.POLLIN)
        return bool(poll.poll(0))
    with contextlib.suppress(ValueError):  # Windows: select takes any number there
        return bool(select.select([number], [], [], 0)[0])
    return True
