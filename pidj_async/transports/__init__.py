"""Transports: the one place where bytes leave the machine.

``base`` says what a transport is, ``httpx`` holds the default one, ``body`` reads a reply's body within limits,
``streaming`` hands it on while it arrives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pidj_async.errors import ConfigurationError
from pidj_async.transports.base import Progress, ReplyStream, StreamingTransport, Transport

if TYPE_CHECKING:
    from pidj_async.transports.httpx import HttpxTransport

__all__ = [
    "HttpxTransport",
    "Progress",
    "ReplyStream",
    "StreamingTransport",
    "Transport",
    "TransportName",
    "make_transport",
]

TransportName = Literal["auto", "httpx"]


def make_transport(name: TransportName) -> Transport:
    """Make a transport by its name.

    Args:
        name: ``"httpx"``, or ``"auto"`` for the fastest that is installed.

    Raises:
        ConfigurationError: If there is none of that name.
    """
    if name in {"auto", "httpx"}:
        from pidj_async.transports.httpx import HttpxTransport  # noqa: PLC0415  a caller's own needs no httpx

        return HttpxTransport()
    msg = f"no transport is called {name!r}; there are 'auto' and 'httpx', or pass a Transport object"
    raise ConfigurationError(msg)


def __getattr__(name: str) -> object:
    if name == "HttpxTransport":
        from pidj_async.transports.httpx import HttpxTransport  # noqa: PLC0415

        return HttpxTransport
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
