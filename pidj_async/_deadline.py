"""A call's deadline: a timer around a block.

anyio's ``move_on_after`` does the same, and does on trio. On asyncio it costs as much as everything else the client
does for a call, because its scopes can be nested, shielded and shared; a deadline needs none of that.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["deadline_after"]


def deadline_after(seconds: float | None) -> _AsyncioDeadline | anyio.CancelScope:
    """Make a deadline, to be entered at once. ``None`` is never. Its ``deadline`` is by ``anyio.current_time()``."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # trio
        return anyio.move_on_after(seconds)
    return _AsyncioDeadline(loop, math.inf if seconds is None else loop.time() + seconds)


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
