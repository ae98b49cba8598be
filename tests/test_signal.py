"""A signal ends one wait, whenever it is given, and a cancelled wait leaves nothing behind."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from pidj_async._signal import signals

pytestmark = pytest.mark.anyio


async def test_a_signal_ends_the_wait_for_it() -> None:
    """Who waits goes on when it is given, and not before."""
    signal = signals()()
    seen: list[str] = []

    async def wait() -> None:
        await signal
        seen.append("went on")

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.sleep(0.01)
        seen.append("given")
        signal.set()
    assert ["given", "went on"] == seen


async def test_a_signal_that_was_given_before_is_not_waited_for() -> None:
    """It may come before anybody waits."""
    signal = signals()()
    signal.set()
    with anyio.fail_after(5):
        await signal


async def test_a_signal_may_be_given_twice() -> None:
    """The second time says nothing new."""
    signal = signals()()
    signal.set()
    signal.set()
    with anyio.fail_after(5):
        await signal


async def test_a_signal_to_somebody_who_has_left_is_lost_quietly() -> None:
    """The wait was cancelled, and then the signal comes."""
    signal = signals()()
    with anyio.move_on_after(0.01) as scope:
        await signal
    assert scope.cancelled_caught
    signal.set()
    await anyio.lowlevel.checkpoint()
