"""The transports, each with the event loops it is tried on: what holds for one holds for all."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from pidj_async.transports.aiohttp import AiohttpTransport
from pidj_async.transports.fast import FastTransport
from pidj_async.transports.httpx import HttpxTransport

__all__ = ["ASYNCIO_ONLY", "CARRIERS", "EVERY_TRANSPORT", "ON_ASYNCIO"]

CARRIERS: dict[str, Any] = {"httpx": HttpxTransport, "aiohttp": AiohttpTransport, "fast": FastTransport}
"""Each takes the same options."""

# Windows has no uvloop. aiohttp is not tried on it: when a handshake is cancelled there, uvloop itself complains.
_UVLOOP = [pytest.param("fast", ("asyncio", {"use_uvloop": True}), id="fast-uvloop")]

ASYNCIO_ONLY = (
    pytest.param("aiohttp", "asyncio", id="aiohttp"),
    pytest.param("fast", "asyncio", id="fast"),
    *(_UVLOOP if importlib.util.find_spec("uvloop") else []),
)
"""Parameters ``carrier`` and ``anyio_backend``: the transports that know no other event loop."""

ON_ASYNCIO = (pytest.param("httpx", "asyncio", id="httpx"), *ASYNCIO_ONLY)
"""The same, with the one that does."""

EVERY_TRANSPORT = (*ON_ASYNCIO, pytest.param("httpx", "trio", id="httpx-trio"))
"""The same, with all of its event loops."""
