"""A reply that is read while it arrives, whichever library its bytes come from."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

import anyio

from pidj_async.errors import PidjError
from pidj_async.sansio import WireResponse
from pidj_async.transports.body import BodyReader, RequestBody

__all__ = ["BodyStream", "drain", "whole"]


class BodyStream:
    """What `ReplyStream` promises, made of a library's raw chunks.

    Args:
        status_code: The HTTP status.
        headers: Names in lower case.
        chunks: The body as it stands on the wire.
        limit: The greatest size in bytes, decompressed; ``None`` for none.
        meaning: Says what an exception means, to be raised ``from`` its own ``__cause__``.
        close: Ends the exchange; it is told whether the reply was read to its end. It is awaited once, shielded.
    """

    def __init__(
        self,
        *,
        status_code: int,
        headers: Mapping[str, str],
        chunks: AsyncIterator[bytes],
        limit: int | None,
        meaning: Callable[[Exception], PidjError],
        close: Callable[[bool], Awaitable[None]],
    ) -> None:
        self.status_code = status_code
        self.headers = headers
        self._chunks = chunks
        self._limit = limit
        self._meaning = meaning
        self._close = close
        self._pieces: Iterator[bytes] = iter(())
        self._body: BodyReader | None = None
        self._ended = False

    def __aiter__(self) -> BodyStream:
        return self

    async def __anext__(self) -> bytes:
        """See `ReplyStream.__anext__`."""
        if self._ended:
            raise StopAsyncIteration
        try:
            piece = await self._next_piece()
        except Exception as error:  # noqa: BLE001  raised as what it means
            await self._end(clean=False)
            meaning = self._meaning(error)
            raise meaning from meaning.__cause__
        except BaseException:
            await self._end(clean=False)
            raise
        if piece is None:
            await self._end(clean=True)
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        """See `ReplyStream.aclose`."""
        await self._end(clean=False)

    async def _next_piece(self) -> bytes | None:
        if self._body is None:
            self._body = BodyReader(
                status_code=self.status_code,
                encoding=self.headers.get("content-encoding", ""),
                declared=self.headers.get("content-length", ""),
                limit=self._limit,
            )
        while (piece := next(self._pieces, None)) is None:
            try:
                chunk = await anext(self._chunks)
            except StopAsyncIteration:
                self._body.finish()
                return None
            self._pieces = self._body.pieces(chunk)
        return piece

    async def _end(self, *, clean: bool) -> None:
        if not self._ended:
            self._ended = True
            with anyio.CancelScope(shield=True):
                await self._close(clean)


def whole(response: WireResponse, limit: int | None) -> BodyStream:
    """Make a stream of a reply that has come already, for transports that have nothing better, such as mocks.

    Args:
        response: The reply.
        limit: See `BodyStream`.
    """

    async def close(_: bool) -> None:  # noqa: FBT001  as `BodyStream` calls it
        pass

    def meaning(error: Exception) -> PidjError:
        assert isinstance(error, PidjError)  # noqa: S101  nothing else can happen to what is there
        return error

    return BodyStream(
        status_code=response.status_code,
        headers={name: value for name, value in response.headers.items() if name != "content-encoding"},
        chunks=RequestBody(response.content),
        limit=limit,
        meaning=meaning,
        close=close,
    )


async def drain(chunks: AsyncIterator[bytes]) -> None:
    """Let a half-read body run to its end, once its connection is closed.

    Merely dropping it would leave async generators to the garbage collector, which trio reports.
    """
    try:
        async for _ in chunks:
            pass
    except Exception:  # noqa: BLE001, S110  the connection is closed: how it ends says nothing
        pass
