"""Bodies: a request's as it goes out; a reply's as it arrives, decompressed, within a limit, noticed if cut off."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator

from pidj_async._masking import shorten
from pidj_async.errors import ResponseError

__all__ = ["ACCEPT_ENCODING", "BodyReader", "RequestBody", "too_large"]

ACCEPT_ENCODING = "gzip, deflate"

_GZIP = zlib.MAX_WBITS | 16
_PIECE = 256 * 1024  # bytes that a body is decompressed into at a time, so that whoever streams it holds no more


class RequestBody:
    """A request's body. Not an async generator: one that is cancelled half-way is left to the garbage collector."""

    __slots__ = ("_content",)

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __aiter__(self) -> RequestBody:
        return self

    async def __anext__(self) -> bytes:
        content, self._content = self._content, b""
        if not content:
            raise StopAsyncIteration
        return content


class BodyReader:
    """Decompresses one body and holds it against its limit: `feed` collects it, `pieces` hands it on.

    Args:
        status_code: Of the reply, for the errors.
        encoding: Its ``Content-Encoding``.
        declared: Its ``Content-Length``, if any.
        limit: The greatest size in bytes, decompressed; ``None`` for none.

    Raises:
        ResponseError: If the encoding is unknown or the declared length is over the limit; each method raises it for
            what it finds.
    """

    __slots__ = ("_begun", "_chunks", "_inflate", "_limit", "_size", "_status_code")

    def __init__(self, *, status_code: int, encoding: str, declared: str, limit: int | None) -> None:
        self._status_code = status_code
        self._limit = sys.maxsize if limit is None else limit
        self._chunks: list[bytes] = []
        self._size = 0
        self._inflate: zlib._Decompress | None = None
        self._begun = False
        if encoding:
            self._inflate = self._decompressor(encoding.strip().lower())
        if self._inflate is None and declared.isdecimal() and int(declared[:20]) > self._limit:
            raise too_large(self._status_code, self._limit)

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes off the wire, and keep them."""
        if self._inflate is None:
            self._count(chunk)
            self._chunks.append(chunk)
        else:
            self._chunks.extend(self._decompressed(chunk))

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """Take the next bytes off the wire, and hand them on in pieces, none of them empty; nothing is kept."""
        if self._inflate is not None:
            yield from self._decompressed(chunk)
        elif chunk:
            self._count(chunk)
            yield chunk

    def finish(self) -> bytes:
        """Return the whole body, as far as it was kept."""
        # A reply without any body (204, or a bare 5xx) may still name an encoding.
        if self._inflate is not None and self._begun and not self._inflate.eof:
            msg = "its compressed body is cut off"
            raise self._error(msg)
        return b"".join(self._chunks)

    def _decompressor(self, encoding: str) -> zlib._Decompress | None:
        if encoding in {"gzip", "x-gzip"}:
            return zlib.decompressobj(_GZIP)
        if encoding == "deflate":
            return zlib.decompressobj()
        if encoding in {"", "identity"}:
            return None
        msg = f"it is encoded as {shorten(encoding, 20)}, which was not asked for"
        raise self._error(msg)

    def _decompressed(self, chunk: bytes) -> Iterator[bytes]:
        assert self._inflate is not None  # noqa: S101  its callers have looked
        self._begun = self._begun or bool(chunk)
        more = bool(chunk)
        while more:
            # One byte over the limit is enough to know, however much a small chunk may expand to.
            room = min(_PIECE, self._limit - self._size + 1)
            try:
                piece = self._inflate.decompress(chunk, room)
            except zlib.error:
                msg = "its compressed body is damaged"
                raise self._error(msg) from None
            self._count(piece)
            if piece:
                yield piece
            chunk = self._inflate.unconsumed_tail
            # A piece that fills its room may be followed by more, even if no byte of the chunk is left.
            more = bool(chunk) or len(piece) == room

    def _count(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._limit:
            raise too_large(self._status_code, self._limit)

    def _error(self, problem: str) -> ResponseError:
        return _unusable(self._status_code, problem)


def too_large(status_code: int, limit: int) -> ResponseError:
    """The error for a body over the limit."""
    return _unusable(status_code, f"its body is larger than {limit:,} bytes (the transport's max_response_bytes)")


def _unusable(status_code: int, problem: str) -> ResponseError:
    return ResponseError(f"HTTP {status_code}, but the reply cannot be used: {problem}", status_code=status_code)
