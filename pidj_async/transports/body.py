"""Bodies: a request's as it goes out; a reply's as it arrives, decompressed, within a limit, noticed if cut off."""

from __future__ import annotations

import zlib

from pidj_async._masking import shorten
from pidj_async.errors import ResponseError

__all__ = ["ACCEPT_ENCODING", "BodyReader", "RequestBody", "too_large"]

ACCEPT_ENCODING = "gzip, deflate"

_GZIP = zlib.MAX_WBITS | 16


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
    """Collects one body.

    Args:
        status_code: Of the reply, for the errors.
        encoding: Its ``Content-Encoding``.
        declared: Its ``Content-Length``, if any.
        limit: The greatest size in bytes, decompressed.

    Raises:
        ResponseError: If the encoding is unknown or the declared length is over the limit; each method raises it for
            what it finds.
    """

    def __init__(self, *, status_code: int, encoding: str, declared: str, limit: int) -> None:
        self._status_code = status_code
        self._limit = limit
        self._chunks: list[bytes] = []
        self._size = 0
        self._inflate: zlib._Decompress | None = None
        self._begun = False
        encoding = encoding.strip().lower()
        if encoding in {"gzip", "x-gzip"}:
            self._inflate = zlib.decompressobj(_GZIP)
        elif encoding == "deflate":
            self._inflate = zlib.decompressobj()
        elif encoding not in {"", "identity"}:
            msg = f"it is encoded as {shorten(encoding, 20)}, which was not asked for"
            raise self._error(msg)
        if self._inflate is None and declared.isdecimal() and int(declared[:20]) > limit:
            raise too_large(self._status_code, self._limit)

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes off the wire."""
        if self._inflate is None:
            self._keep(chunk)
            return
        while chunk:
            self._begun = True
            try:
                # One byte over the limit is enough to know, however much a small chunk may expand to.
                self._keep(self._inflate.decompress(chunk, self._limit - self._size + 1))
            except zlib.error:
                msg = "its compressed body is damaged"
                raise self._error(msg) from None
            chunk = self._inflate.unconsumed_tail

    def finish(self) -> bytes:
        """Return the whole body."""
        # A reply without any body (204, or a bare 5xx) may still name an encoding.
        if self._inflate is not None and self._begun and not self._inflate.eof:
            msg = "its compressed body is cut off"
            raise self._error(msg)
        return b"".join(self._chunks)

    def _keep(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._limit:
            raise too_large(self._status_code, self._limit)
        self._chunks.append(data)

    def _error(self, problem: str) -> ResponseError:
        return _unusable(self._status_code, problem)


def too_large(status_code: int, limit: int) -> ResponseError:
    """The error for a body over the limit."""
    return _unusable(status_code, f"its body is larger than {limit:,} bytes (the transport's max_response_bytes)")


def _unusable(status_code: int, problem: str) -> ResponseError:
    return ResponseError(f"HTTP {status_code}, but the reply cannot be used: {problem}", status_code=status_code)
