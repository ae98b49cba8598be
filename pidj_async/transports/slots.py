"""At most so many requests under way at once; the others wait in the order they came."""

from __future__ import annotations

import anyio

from pidj_async.errors import NotSentError

__all__ = ["Slots"]


class Slots:
    """As many as there may be connections.

    Args:
        count: How many.
        patience: Seconds to wait for one.
    """

    def __init__(self, count: int, *, patience: float) -> None:
        self._free = anyio.Semaphore(count, max_value=count, fast_acquire=True)
        self._patience = patience
        self.release = self._free.release  # not one call more than it takes: this is done for every request

    def take_at_once(self) -> bool:
        """Take one if one is free. Whoever gets ``False`` calls `take`, and would have had to wait anyhow."""
        try:
            self._free.acquire_nowait()
        except anyio.WouldBlock:
            return False
        return True

    async def take(self, *, call: str, host: str) -> None:
        """Take one; whoever took it calls `release`.

        Args:
            call: The name of the call, for the error.
            host: Where the request is to go, for the error.

        Raises:
            NotSentError: None became free in time.
        """
        if self.take_at_once():
            return
        with anyio.move_on_after(self._patience):
            await self._free.acquire()
            return
        msg = (
            f"{call}: no connection to {host} became free within {self._patience:g} s; nothing was sent (lower the "
            f"concurrency, or raise the transport's max_connections or pool_timeout)"
        )
        raise NotSentError(msg)
