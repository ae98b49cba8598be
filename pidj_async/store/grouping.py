"""Many small writes, one commit.

A commit waits for the disk; a thousand commits wait a thousand times. So whoever comes while a commit is under way
joins the next one. There is no timer: the first to come is kept waiting only for those who have come already, and whom
the event loop has not got round to yet.

The commits are made by a task of their own, which lives as long as there is something to commit. None of the callers
can take a batch down with it by being cancelled, by whatever means: a caller that is cancelled leaves, and its item is
committed all the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import anyio
import anyio.lowlevel

from pidj_async._background import Background

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
        self._waiting: deque[_Batch[T, R]] = deque()
        self._committing: Background | None = None

    async def add(self, item: T) -> R:
        """Write an item. When this returns, it is committed.

        Args:
            item: What to write.

        Returns:
            Its result.
        """
        if not self._waiting or len(self._waiting[-1].items) >= self._most:
            self._waiting.append(_Batch())
        batch = self._waiting[-1]
        place = len(batch.items)
        batch.items.append(item)
        if self._committing is None:
            self._committing = Background(self._commit_all, "pidj_async group commit")
        await batch.done.wait()
        if batch.error is not None:
            # Anew for each of them: one and the same error raised in several tasks would gather all their tracebacks.
            raise _again(batch.error)
        return batch.results[place]

    async def _commit_all(self) -> None:
        try:
            while self._waiting:
                # Two turns of the event loop: in one of them, what waits in the sockets becomes tasks; in the next,
                # these run and come here. On a busy server that makes half as many commits.
                await anyio.lowlevel.checkpoint()
                await anyio.lowlevel.checkpoint()
                await self._commit_one(self._waiting.popleft())
        finally:
            self._committing = None
            # Only if the event loop is being shut down is there anything left.
            while self._waiting:
                self._give_up(self._waiting.popleft(), None)

    async def _commit_one(self, batch: _Batch[T, R]) -> None:
        try:
            batch.results = await self._commit(batch.items)
        except Exception as error:  # noqa: BLE001  raised by `add`, to each of them
            self._give_up(batch, error)
        except BaseException:
            self._give_up(batch, None)
            raise
        else:
            batch.done.set()

    @staticmethod
    def _give_up(batch: _Batch[T, R], error: Exception | None) -> None:
        batch.error = error or RuntimeError("the event loop was shut down before this was committed")
        batch.done.set()


def _again(error: BaseException) -> BaseException:
    try:
        anew = type(error)(*error.args)
    except Exception:  # noqa: BLE001  an error of somebody else's, whose constructor wants more
        return error
    anew.__cause__ = error
    return anew
