"""Something to wait for, once, by one task.

`anyio.Event` can do more: many may wait, again and again, and it asks each time where it is. That costs several times
what waiting does, which is much where it happens for every text.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, Protocol

import anyio

__all__ = ["Signal", "signals"]


class Signal(Protocol):
    """One task awaits it; `set` ends that, before or after it has begun."""

    def set(self) -> None: ...

    def __await__(self) -> Generator[Any, Any, None]: ...


def signals() -> Callable[[], Signal]:
    """Return what makes signals for this event loop."""
    try:
        return partial(_AsyncioSignal, loop=asyncio.get_running_loop())
    except RuntimeError:
        return _TrioSignal


class _AsyncioSignal(asyncio.Future[None]):
    __slots__ = ()

    def set(self) -> None:
        if not self.done():  # it is cancelled with whoever waits for it
            self.set_result(None)


class _TrioSignal:
    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = anyio.Event()

    def set(self) -> None:
        self._event.set()

    def __await__(self) -> Generator[Any, Any, None]:
        return self._event.wait().__await__()
