"""Ctrl-C and SIGTERM, for commands that end in good order."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["on_stop_signals"]


@contextmanager
def on_stop_signals(act: Callable[[], object]) -> Generator[None]:
    """Call something, instead of ending the process, whenever somebody wants it to stop.

    Args:
        act: What to call, in a signal handler: what it does to an event loop it has to do by `call_soon_threadsafe`.
    """

    def on_signal(_: int, __: FrameType | None) -> None:
        act()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
