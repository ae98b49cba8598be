"""A deadline: a timer around a block, or around a coroutine that may not need one.

anyio's ``move_on_after`` does the same, and does on trio. On asyncio it costs as much as everything else the client
does for a call, because its scopes can be nested, shielded and shared; a deadline needs none of that.
"""

from __future__ import annotations

import asyncio
import math
import types
from collections.abc import Awaitable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["deadline_after", "within"]

R = TypeVar("R")


def deadline_after(seconds: float | None) -> _AsyncioDeadline | anyio.CancelScope:
    """Make a deadline, to be entered at once. ``None`` is never. Its ``deadline`` is by ``anyio.current_time()``."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # trio
        return anyio.move_on_after(seconds)
    return _AsyncioDeadline(loop, math.inf if seconds is None else loop.time() + seconds)


def within(seconds: float | None, work: Coroutine[Any, Any, R]) -> Awaitable[R | None]:
    """Await `work` for so long at most; ``None`` is for ever.

    On asyncio the timer is only set when `work` has to wait for something. Even one that is never due is expensive: it
    takes its place among all the others, and stays there for a while after it has been cancelled.

    Returns:
        What `work` returns; ``None`` if it took longer, and then it has been cancelled.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # trio
        return _within_scope(seconds, work)
    return _within(loop, seconds, work)


async def _within_scope(seconds: float | None, work: Coroutine[Any, Any, R]) -> R | None:
    with anyio.move_on_after(seconds):
        return await work
    return None


@types.coroutine
def _within(
    loop: asyncio.AbstractEventLoop, seconds: float | None, work: Coroutine[Any, Any, R]
) -> Generator[Any, Any, R | None]:
    # This is ``await work``, step by step, with a pause for thought after the first one.
    try:
        waits_for = work.send(None)
        with _AsyncioDeadline(loop, math.inf if seconds is None else loop.time() + seconds):
            while True:
                try:
                    sent = yield waits_for
                except BaseException as error:  # noqa: BLE001  it is the work's, cancellation included
                    waits_for = work.throw(error)
                else:
                    waits_for = work.send(sent)
    except StopIteration as done:
        result: R = done.value
        return result
    return None


class _AsyncioDeadline:
    """What `asyncio.timeout_at` does, without being a coroutine, and without raising TimeoutError."""

    __slots__ = ("_before", "_expired", "_loop", "_task", "_timer", "deadline")

    def __init__(self, loop: asyncio.AbstractEventLoop, deadline: float) -> None:
        self.deadline = deadline
        self._loop = loop
        self._expired = False
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None
        self._before = 0

    def __enter__(self) -> None:
        if self.deadline != math.inf:
            self._task = asyncio.current_task(self._loop)
            assert self._task is not None  # noqa: S101  only a task can await a call
            self._before = self._task.cancelling()
            self._timer = self._loop.call_at(self.deadline, self._expire)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if self._timer is not None:
            self._timer.cancel()
        if not self._expired or self._task is None:
            return False
        # Somebody else may have cancelled the task in the same moment: that must not be swallowed.
        return self._task.uncancel() <= self._before and kind is asyncio.CancelledError

    def _expire(self) -> None:
        self._expired = True
        if self._task is not None:
            self._task.cancel()
