"""Transports: the one place where bytes leave the machine.

``base`` says what a transport is. ``httpx`` holds the one that is always there, ``aiohttp`` and ``fast`` those that are
quicker and need an extra, ``auto`` the choice among them. ``body`` reads a reply's body within limits, ``streaming``
hands it on while it arrives.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Literal

from pidj_async.transports.base import Progress, ReplyStream, StreamingTransport, Transport

if TYPE_CHECKING:
    from pidj_async.transports.aiohttp import AiohttpTransport
    from pidj_async.transports.fast import FastTransport
    from pidj_async.transports.httpx import HttpxTransport

_HOMES = {"AiohttpTransport": "aiohttp", "FastTransport": "fast", "HttpxTransport": "httpx"}

__all__ = [
    "AiohttpTransport",
    "FastTransport",
    "HttpxTransport",
    "Progress",
    "ReplyStream",
    "StreamingTransport",
    "Transport",
    "TransportName",
    "make_transport",
]

TransportName = Literal["auto", "httpx", "aiohttp", "fast"]


def make_transport(name: TransportName) -> Transport:
    """Make a transport by its name.

    Args:
        name: ``"httpx"``, ``"aiohttp"``, ``"fast"``, or ``"auto"`` for the fastest that is installed and can do what is
            asked of it; see `pidj_async.transports.auto`.

    Raises:
        ConfigurationError: If there is none of that name, or it needs an extra that is not installed.
    """
    from pidj_async.transports.auto import AutoTransport, transport_named  # noqa: PLC0415  a caller's own needs neither

    if name == "auto":
        return AutoTransport()  # pyright: ignore[reportReturnType]  its `send` returns a coroutine, and is none
    return transport_named(name)


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
