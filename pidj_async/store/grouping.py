"""Many small writes, one commit.

A commit waits for the disk; a thousand commits wait a thousand times. Whoever comes while a commit is under way joins
the next one. There is no timer and no background task: the first to come leads, the others follow.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import anyio

__all__ = ["GroupCommit"]

T = TypeVar("T")
R = TypeVar("R")


class _Batch(Generic[T, R]):
    def __init__(self) -> None:
        self.items: list[T] = []
        self.results: Sequence[R] = ()
        self.error: BaseException | None = None
        self.done = anyio.Event()


class GroupCommit(Generic[T, R]):
    """Gathers items and commits them together.

    Args:
        commit: Writes a batch in one transaction and returns a result for each item, in order. What it raises, every
            item's caller gets.
        most: The greatest number of items in a batch.
    """

    def __init__(self, commit: Callable[[Sequence[T]], Awaitable[Sequence[R]]], *, most: int = 256) -> None:
        self._commit = commit
        self._most = most
        self._open: _Batch[T, R] | None = None
        self._turn = anyio.Lock()

    async def add(self, item: T) -> R:
        """Write an item. When this returns, it is committed.

        A caller that is cancelled still has its item committed, because it may be in a batch with others'.
        """
        batch = self._open
        leads = batch is None or len(batch.items) >= self._most
        if batch is None or leads:
            batch = self._open = _Batch()
        place = len(batch.items)
        batch.items.append(item)
        if leads:
            # The others wait for this one, so it must not be cancelled away under them.
            with anyio.CancelScope(shield=True):
                await self._lead(batch)
        else:
            await batch.done.wait()
        if batch.error is not None:
            raise batch.error
        return batch.results[place]

    async def _lead(self, batch: _Batch[T, R]) -> None:
        try:
            async with self._turn:
                if self._open is batch:
                    self._open = None
                batch.results = await self._commit(batch.items)
        except Exception as error:  # noqa: BLE001  raised by `add`, to each of them
            batch.error = error
        finally:
            batch.done.set()
