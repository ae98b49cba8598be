"""The deadlines of a client's calls: each a block that ends when its time is over.

anyio's ``move_on_after`` does the same, and does on trio. On asyncio it costs as much as everything else the client
does for a call, because its scopes can be nested, shielded and shared; a deadline needs none of that. Nor does it need
a timer for each call: all of a client's calls have the same time, so they run out in the order in which they began.
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

__all__ = ["Deadlines", "within"]

R = TypeVar("R")

_LOOK_AGAIN = 1.0  # seconds; a timer that has nothing to watch over any more is gone by then


class Deadlines:
    """One timer, set for the oldest call that is under way.

    Args:
        seconds: How long each block may take; ``None`` for ever.

    Attributes:
        running: The blocks that are watched over, the oldest first.
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.running: dict[_Block, None] = {}  # a dict keeps the order

    def begin(self) -> _Block | anyio.CancelScope:
        """Make a block, to be entered at once. Its ``deadline`` is by ``anyio.current_time()``."""
        try:
            task = asyncio.current_task()
        except RuntimeError:  # trio
            return anyio.move_on_after(self.seconds)
        assert task is not None  # noqa: S101  only a task can await a call
        loop = task.get_loop()
        if loop is not self._loop:
            # What ran in another event loop ended with it.
            self._loop, self._timer, self.running = loop, None, {}
        return _Block(self, task, math.inf if self.seconds is None else loop.time() + self.seconds)

    def watch(self) -> None:
        """Set the timer, if none is set; for blocks, which come and go by themselves.

        A timer stays when there is nothing left to watch: taking it back would cost more than its striking idly.
        """
        if self._timer is None:
            self._strike()

    def _strike(self) -> None:
        self._timer = None
        assert self._loop is not None  # noqa: S101  there is no block without one
        now = self._loop.time()
        while self.running:
            oldest = next(iter(self.running))
            if oldest.deadline > now:
                self._timer = self._loop.call_at(min(oldest.deadline, now + _LOOK_AGAIN), self._strike)
                return
            del self.running[oldest]
            oldest.expire()


class _Block:
    """What `asyncio.timeout_at` does, without being a coroutine, and without raising TimeoutError."""

    __slots__ = ("_before", "_deadlines", "_expired", "_task", "deadline")

    def __init__(self, deadlines: Deadlines, task: asyncio.Task[Any], deadline: float) -> None:
        self.deadline = deadline
        self._deadlines = deadlines
        self._task = task
        self._expired = False
        self._before = task.cancelling()

    def __enter__(self) -> None:
        if self.deadline != math.inf:
            self._deadlines.running[self] = None
            self._deadlines.watch()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        self._deadlines.running.pop(self, None)
        if not self._expired:
            return False
        # Somebody else may have cancelled the task in the same moment: that must not be swallowed.
        return self._task.uncancel() <= self._before and kind is asyncio.CancelledError

    def expire(self) -> None:
        """End it; for `Deadlines`."""
        self._expired = True
        self._task.cancel()


def within(seconds: float | None, work: Coroutine[Any, Any, R]) -> Awaitable[R | None]:
    """Await `work` for so long at most; ``None`` is for ever.

    On asyncio the timer is only set when `work` has to wait for something. Even one that is never due is expensive: it
    takes its place among all the others, and stays there for a while after it has been cancelled.

    Returns:
        What `work` returns; ``None`` if it took longer, and then it has been cancelled.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:  # trio
        return _within_scope(seconds, work)
    return _within(seconds, work)


async def _within_scope(seconds: float | None, work: Coroutine[Any, Any, R]) -> R | None:
    with anyio.move_on_after(seconds):
        return await work
    return None


@types.coroutine
def _within(seconds: float | None, work: Coroutine[Any, Any, R]) -> Generator[Any, Any, R | None]:
    # This is ``await work``, step by step, with a pause for thought after the first one.
    try:
        waits_for = work.send(None)
        with Deadlines(seconds).begin():
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
