"""A task that outlives the function that starts it, on asyncio and trio.

anyio has none, on purpose: a task belongs into a task group. But an object that is iterated with ``async for`` has no
block to put a task group into; a task group inside an async generator breaks as soon as the loop is left early, because
its scope is then closed from another task. So the iterator gets one task of its own, which holds the task group.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial

import anyio

__all__ = ["Background", "launcher"]


class Background:
    """One function running by itself.

    It must catch what it raises: nobody awaits it.

    Args:
        function: What to run.
        name: For debuggers.
    """

    def __init__(self, function: Callable[[], Awaitable[None]], name: str) -> None:
        self._function = function
        self._scope = anyio.CancelScope()
        self._done = anyio.Event()
        #: Calls a function in the event loop's thread, from any thread.
        self.call_soon: Callable[[Callable[[], object]], object]
        trio = sys.modules.get("trio")
        if trio is not None and trio.lowlevel.in_trio_task():
            self.call_soon = trio.lowlevel.current_trio_token().run_sync_soon
            trio.lowlevel.spawn_system_task(self._run, name=name, context=contextvars.copy_context())
        else:
            loop = asyncio.get_running_loop()
            self.call_soon = loop.call_soon_threadsafe
            # asyncio keeps only weak references to its tasks.
            self._task = loop.create_task(self._run(), name=name)

    async def _run(self) -> None:
        try:
            with self._scope:
                await self._function()
        finally:
            self._done.set()

    def cancel(self) -> None:
        """Ask it to stop."""
        self._scope.cancel()

    async def wait(self) -> None:
        """Wait until it has stopped, even if the waiting task is cancelled meanwhile."""
        with anyio.CancelScope(shield=True):
            await self._done.wait()


def launcher(name: str) -> Callable[[Callable[[], Coroutine[object, object, None]]], object]:
    """Return what starts a function in the event loop that is running now, from any thread: for ``__del__``.

    The function must catch what it raises: nobody awaits it.

    Args:
        name: For debuggers.
    """
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_task():
        token = trio.lowlevel.current_trio_token()
        return lambda function: token.run_sync_soon(partial(trio.lowlevel.spawn_system_task, function, name=name))
    loop = asyncio.get_running_loop()
    running: set[asyncio.Task[None]] = set()  # asyncio keeps only weak references to its tasks

    def start(function: Callable[[], Coroutine[object, object, None]]) -> None:
        task = loop.create_task(function(), name=name)
        running.add(task)
        task.add_done_callback(running.discard)

    return lambda function: loop.call_soon_threadsafe(start, function)
