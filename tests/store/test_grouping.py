"""Group commits: what comes together is committed together, and nobody's cancellation is another's loss."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import anyio
import anyio.lowlevel
import pytest

from pidj_async.store.grouping import GroupCommit

pytestmark = pytest.mark.anyio


class Disk:
    """Commits when it is told to, and remembers."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.started = anyio.Event()
        self.go = anyio.Event()
        self.error: Exception | None = None

    async def commit(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        self.started.set()
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return [item * 10 for item in items]


async def settle() -> None:
    for _ in range(10):
        await anyio.lowlevel.checkpoint()


async def test_whoever_comes_during_a_commit_joins_the_next() -> None:
    """The first is not kept waiting; the others share a commit, at most so many, and each gets its own result."""
    disk = Disk()
    group_commit = GroupCommit(disk.commit, most=3)
    results: dict[int, int] = {}

    async def add(item: int) -> None:
        results[item] = await group_commit.add(item)

    async with anyio.create_task_group() as group:
        group.start_soon(add, 0)
        await disk.started.wait()
        for item in range(1, 6):
            group.start_soon(add, item)
            await settle()
        assert disk.batches == [[0]]
        disk.go.set()
    assert disk.batches == [[0], [1, 2, 3], [4, 5]]
    assert results == {item: item * 10 for item in range(6)}


async def test_who_has_come_already_is_taken_along() -> None:
    """Those whom the event loop gets round to in the same turn, and in the next, are in the first commit."""
    disk = Disk()
    disk.go.set()
    group_commit = GroupCommit(disk.commit)

    async def add_in_the_next_turn(item: int) -> None:
        await anyio.lowlevel.checkpoint()
        await group_commit.add(item)

    async with anyio.create_task_group() as group:
        for item in (0, 1):
            group.start_soon(group_commit.add, item)
            group.start_soon(add_in_the_next_turn, item + 2)
    assert [[0, 1, 2, 3]] == [sorted(batch) for batch in disk.batches]


async def test_an_error_reaches_all_of_a_batch_and_ends_with_it() -> None:
    """Each gets an error of its own, and the next batch is a new try."""
    disk = Disk()
    group_commit = GroupCommit(disk.commit)
    disk.error = OSError("full")
    caught: list[OSError] = []

    async def add(item: int) -> None:
        with pytest.raises(OSError, match="full") as error:
            await group_commit.add(item)
        caught.append(error.value)

    async with anyio.create_task_group() as group:
        for item in range(3):
            group.start_soon(add, item)
        await disk.started.wait()
        await settle()
        disk.go.set()
    assert len(set(map(id, caught))) == 3
    disk.error = None
    assert await group_commit.add(7) == 70


async def test_a_cancelled_caller_takes_nobody_along() -> None:
    """The first of a batch is cancelled, while it waits and while it is committed: the others do not notice."""
    disk = Disk()
    group_commit = GroupCommit(disk.commit)
    results: list[int] = []

    async def add(item: int, scope: anyio.CancelScope) -> None:
        with scope:
            results.append(await group_commit.add(item))

    scopes = [anyio.CancelScope() for _ in range(4)]
    async with anyio.create_task_group() as group:
        group.start_soon(add, 0, scopes[0])
        await disk.started.wait()
        for item in (1, 2, 3):
            group.start_soon(add, item, scopes[item])
            await settle()
        scopes[0].cancel()
        scopes[1].cancel()
        await settle()
        disk.go.set()
    assert disk.batches == [[0], [1, 2, 3]]
    assert sorted(results) == [20, 30]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_asyncios_own_cancellation_takes_nobody_along(anyio_backend: str) -> None:
    """``task.cancel()`` and ``asyncio.timeout`` do not know anyio's shields."""
    disk = Disk()
    group_commit = GroupCommit(disk.commit)
    tasks = [asyncio.create_task(group_commit.add(0))]
    await disk.started.wait()
    tasks += [asyncio.create_task(group_commit.add(item)) for item in (1, 2)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[1].cancel()
    await settle()
    disk.go.set()
    assert await tasks[2] == 20
    assert [task.cancelled() for task in tasks] == [True, True, False]
    assert (disk.batches, anyio_backend) == ([[0], [1, 2]], "asyncio")


def test_one_event_loop_after_another() -> None:
    """A function that is called now and then, each time with a new event loop, can keep one inbox."""

    async def commit(items: Sequence[int]) -> list[int]:
        await anyio.lowlevel.checkpoint()
        return [item * 10 for item in items]

    group_commit = GroupCommit(commit)
    assert [anyio.run(group_commit.add, item, backend=loop) for item, loop in ((1, "asyncio"), (2, "trio"))] == [10, 20]


def test_an_event_loop_that_ends_says_so() -> None:
    """Whoever still waits learns that the item may not be committed, and the next event loop starts afresh."""
    disk = Disk()
    group_commit = GroupCommit(disk.commit)

    async def leave() -> None:
        waiting = [asyncio.create_task(group_commit.add(item)) for item in (1, 2)]
        await disk.started.wait()
        (committing,) = asyncio.all_tasks() - {asyncio.current_task(), *waiting}
        committing.cancel()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert [str(outcome) for outcome in outcomes] == [
            "the event loop was shut down before this was committed",
        ] * 2

    asyncio.run(leave())
    disk.go.set()
    assert asyncio.run(group_commit.add(3)) == 30
