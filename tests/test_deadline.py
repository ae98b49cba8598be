"""A deadline ends a block or a coroutine without an error, and swallows nobody else's cancellation."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from pidj_async import _deadline
from pidj_async._deadline import Deadlines, _Block, within

pytestmark = pytest.mark.anyio


def deadline_after(seconds: float | None) -> _Block | anyio.CancelScope:
    return Deadlines(seconds).begin()


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
    with deadline_after(0.5):
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


async def test_one_timer_serves_many_blocks() -> None:
    """Each that takes too long ends by itself, in its own time; those that are in time are left alone."""
    deadlines = Deadlines(0.2)
    finished: set[int] = set()
    took: dict[int, float] = {}

    async def block(number: int) -> None:
        await anyio.sleep(number * 0.01)
        start = anyio.current_time()
        with deadlines.begin():
            await (anyio.lowlevel.checkpoint() if number % 2 else anyio.sleep(10))
            finished.add(number)
        took[number] = anyio.current_time() - start

    async with anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(block, number)

    assert set(range(1, 10, 2)) == finished
    assert all(0.19 < took[number] < 9 for number in range(0, 10, 2))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_thousand_blocks_set_no_thousand_timers(anyio_backend: str) -> None:  # noqa: ARG001  trio has scopes
    """The event loop's own list of timers is as long as before."""
    deadlines = Deadlines(60)
    loop: Any = asyncio.get_running_loop()
    before = len(loop._scheduled)
    for _ in range(1_000):
        with deadlines.begin():
            pass
    assert 1 == len(loop._scheduled) - before


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_timer_does_not_outlive_its_use(
    anyio_backend: str,  # noqa: ARG001  trio has scopes
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever makes a client for each call is not left with a timer for each."""
    monkeypatch.setattr(_deadline, "_LOOK_AGAIN", 0.01)
    loop: Any = asyncio.get_running_loop()
    for _ in range(100):
        with Deadlines(60).begin():
            pass
    await anyio.sleep(0.05)
    assert [] == [handle for handle in loop._scheduled if "_strike" in repr(handle)]


def test_the_next_event_loop_has_deadlines_of_its_own() -> None:
    """A client that outlives its loop is not left with the old one's timer."""
    deadlines = Deadlines(0.02)

    async def block() -> bool:
        with deadlines.begin():
            await asyncio.sleep(10)
            return True
        return False

    assert [False, False] == [asyncio.run(block()), asyncio.run(block())]


# --- a coroutine that may not need a timer ------------------------------------------------------------------------


async def at_once(result: str) -> str:
    return result


async def after(seconds: float, result: str) -> str:
    await anyio.sleep(seconds)
    await anyio.lowlevel.checkpoint()
    return result


@pytest.mark.parametrize("seconds", [10, None])
async def test_what_is_in_time_is_returned(seconds: float | None) -> None:
    """Whether it has to wait or not, and however often."""
    assert "now" == await within(seconds, at_once("now"))
    assert "soon" == await within(seconds, after(0.01, "soon"))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_nothing_to_wait_for_is_no_timer(anyio_backend: str, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    """Timers are what this is there to save."""
    loop = asyncio.get_running_loop()
    set_for: list[float] = []
    call_at = loop.call_at

    def count(when: float, *rest: Any, **more: Any) -> Any:
        set_for.append(when)
        return call_at(when, *rest, **more)

    monkeypatch.setattr(loop, "call_at", count)
    await within(10, at_once("now"))
    assert [] == set_for
    await within(10, asyncio.sleep(0))
    assert 1 == len(set_for)


async def test_what_takes_too_long_is_cancelled() -> None:
    """It is told, and can clean up; what comes after goes on, and can be awaited as ever."""
    cleaned = False

    async def work() -> str:
        nonlocal cleaned
        try:
            return await after(10, "late")
        finally:
            cleaned = True

    assert await within(0.01, work()) is None
    await anyio.lowlevel.checkpoint()
    assert cleaned


async def test_work_in_time_is_left_alone() -> None:
    """The timer goes with the work: it does not strike later."""
    await within(0.02, after(0.001, "soon"))
    await anyio.sleep(0.04)


async def test_errors_of_the_work_pass() -> None:
    """Those from before it had to wait, and those from after."""

    async def fail(seconds: float) -> None:
        if seconds:
            await anyio.sleep(seconds)
        raise KeyError

    for seconds in (0, 0.001):
        with pytest.raises(KeyError):
            await within(10, fail(seconds))


async def test_work_may_handle_what_it_waits_for() -> None:
    """An error that its own waiting raises reaches the work first, as it does with a plain ``await``."""

    async def work() -> str:
        with anyio.move_on_after(0.001):
            await anyio.sleep(10)
        try:
            with anyio.fail_after(0.001):
                await anyio.sleep(10)
        except TimeoutError:
            return "handled"
        return "never"

    assert "handled" == await within(10, work())


async def test_work_may_have_tasks_of_its_own() -> None:
    """A task group inside, as frameworks put one around what they read from."""

    async def work() -> list[str]:
        done: list[str] = []

        async def one(name: str) -> None:
            done.append(await after(0.001, name))

        async with anyio.create_task_group() as group:
            group.start_soon(one, "a")
            group.start_soon(one, "b")
        return sorted(done)

    assert ["a", "b"] == await within(10, work())

    async def for_ever() -> str:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
        return "never"

    assert await within(0.01, for_ever()) is None


async def test_a_cancellation_from_outside_reaches_the_work() -> None:
    """And it ends what is around it, too."""
    seen = []

    async def work() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            seen.append("work")

    with anyio.move_on_after(0.01) as outer:
        await within(10, work())
        seen.append("never")
    assert (True, ["work"]) == (outer.cancelled_caught, seen)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_asyncios_own_timeouts_reach_the_work(anyio_backend: str) -> None:  # noqa: ARG001
    """wait_for and timeout raise their own TimeoutError, and task.cancel() cancels."""
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(within(10, after(10, "late")), 0.01)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await within(10, after(10, "late"))

    async def waits() -> str | None:
        return await within(10, after(10, "late"))

    task = asyncio.create_task(waits())
    await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
