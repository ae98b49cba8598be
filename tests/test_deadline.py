"""A deadline ends a block without an error, and swallows nobody else's cancellation."""

from __future__ import annotations

import asyncio
import math

import anyio
import anyio.lowlevel
import pytest

from pidj_async._deadline import deadline_after

pytestmark = pytest.mark.anyio


async def test_a_block_that_takes_too_long_ends_quietly() -> None:
    """What stands after the block goes on, and can be awaited as ever."""
    finished = False
    with deadline_after(0.01):
        await anyio.sleep(10)
        finished = True
    await anyio.lowlevel.checkpoint()
    assert not finished


async def test_a_block_in_time_is_left_alone() -> None:
    """The timer goes with the block: it does not strike later."""
    with deadline_after(0.01):
        await anyio.lowlevel.checkpoint()
    await anyio.sleep(0.03)


async def test_never_is_never() -> None:
    """None is no deadline."""
    with deadline_after(None) as _, anyio.move_on_after(0.02) as outer:
        await anyio.sleep(10)
    assert outer.cancelled_caught
    assert deadline_after(None).deadline == math.inf


async def test_an_error_passes() -> None:
    """A deadline is about time only."""
    with pytest.raises(KeyError), deadline_after(10):
        raise KeyError


async def test_an_outer_cancellation_is_not_swallowed() -> None:
    """The scope around it is cancelled first: the block ends, and so does what is around it."""
    reached = False
    with anyio.CancelScope() as outer:
        with deadline_after(10):
            outer.cancel()
            await anyio.sleep(10)
        reached = True
    assert outer.cancelled_caught
    assert not reached


async def test_both_at_once_count_as_cancelled() -> None:
    """The deadline strikes while the task is being cancelled from outside: the cancellation wins."""
    with anyio.CancelScope() as outer:
        with deadline_after(0.01):
            try:
                await anyio.sleep(10)
            finally:
                outer.cancel()
        await anyio.sleep(10)
    assert outer.cancelled_caught


async def test_deadlines_nest() -> None:
    """The inner one ends the inner block, the outer one the outer."""
    seen = []
    with deadline_after(0.05):
        with deadline_after(0.01):
            await anyio.sleep(10)
        seen.append("inner")
        await anyio.sleep(10)
        seen.append("never")
    assert seen == ["inner"]


async def test_it_tells_when_it_ends() -> None:
    """By the event loop's own clock."""
    now = anyio.current_time()
    with deadline_after(5) as _:
        pass
    assert now + 5 <= deadline_after(5).deadline <= anyio.current_time() + 5


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_it_works_within_asyncios_own(anyio_backend: str) -> None:  # noqa: ARG001  asyncio's own are asyncio's
    """wait_for and timeout around a call raise their own TimeoutError."""

    async def block() -> None:
        with deadline_after(10):
            await anyio.sleep(10)

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(block(), 0.01)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await block()
