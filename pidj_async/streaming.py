"""Results that are handed over while the reply is still arriving, in bounded memory.

Nothing is read ahead: while nobody asks for the next result, nothing is taken off the connection, and the server waits.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

from pidj_async._background import launcher
from pidj_async.incremental import ItemReader
from pidj_async.transports.base import ReplyStream

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Arriving", "Stream"]

M = TypeVar("M")
T = TypeVar("T")


class Arriving(Generic[M]):
    """A reply whose head has come.

    Attributes:
        ready: Results that nobody has taken yet.
        ended: Whether there will be no more.
    """

    def __init__(self, reply: ReplyStream, reader: ItemReader[M]) -> None:
        self._reply = reply
        self._reader = reader
        self.ready: deque[M] = deque()
        self.ended = False

    async def wait(self) -> None:
        """Read until there is a result, or the end. If that fails, the reply is closed."""
        try:
            while not self.ready and not self.ended:
                try:
                    piece = await anext(self._reply)
                except StopAsyncIteration:
                    self.ended = True
                    self.ready.extend(self._reader.finish(datetime.now(UTC)))
                else:
                    self.ready.extend(self._reader.feed(piece))
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Give up what has not been read."""
        self.ended = True
        await self._reply.aclose()


class _InTime(Protocol):
    """Carries out a part of a call within the client's deadline."""

    def __call__(self, work: Callable[[], Awaitable[T]], /) -> Awaitable[T]: ...


class Stream(AsyncIterator[M]):
    """Results, one after another, as the reply arrives. Each can be had once.

    Left before its end, it gives up the connection: at once if used as ``async with``, else when it is forgotten.
    """

    def __init__(self, begin: Callable[[], Awaitable[Arriving[M]]], in_time: _InTime) -> None:
        self._begin = begin
        self._in_time = in_time
        self._reply: Arriving[M] | None = None
        self._ready: deque[M] = deque()
        self._ended = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> M:
        if self._ready:
            return self._ready.popleft()
        if self._ended:
            raise StopAsyncIteration
        try:
            await self._wait()
        except BaseException:
            self._ended = True
            raise
        if not self._ready:
            self._ended = True
            raise StopAsyncIteration
        return self._ready.popleft()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Give up what has not been taken, and the connection with it. Closing twice is harmless."""
        self._ended = True
        self._ready.clear()
        if self._reply is not None:
            await self._reply.aclose()

    async def _wait(self) -> None:
        reply = self._reply
        if reply is None:
            self._launch = launcher("pidj stream closing")
            self._reply = reply = await self._begin()
            self._ready = reply.ready
        else:
            await self._in_time(reply.wait)

    def __del__(self) -> None:
        reply = getattr(self, "_reply", None)
        if reply is not None and not reply.ended:
            # The garbage collector may be running in any thread, and after the loop has ended.
            with contextlib.suppress(RuntimeError):
                self._launch(partial(_close_quietly, reply))


async def _close_quietly(reply: Arriving[Any]) -> None:
    with contextlib.suppress(Exception):
        await reply.aclose()
