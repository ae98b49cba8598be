"""A reply's body: decompressed as it arrives, within a limit, and noticed if it is cut off."""

from __future__ import annotations

import gzip
import os
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pidj_async.errors import ResponseError
from pidj_async.transports.body import BodyReader

LIMIT = 10_000


def read(chunks: list[bytes], encoding: str = "", declared: str = "", limit: int = LIMIT) -> bytes:
    reader = BodyReader(status_code=200, encoding=encoding, declared=declared, limit=limit)
    for chunk in chunks:
        reader.feed(chunk)
    return reader.finish()


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@given(data=st.binary(max_size=2_000), size=st.integers(1, 500))
def test_whatever_was_written_is_read(data: bytes, size: int) -> None:
    """Plain, gzip and deflate, in pieces of any size."""
    assert read(pieces(data, size)) == data
    assert read(pieces(gzip.compress(data), size), "gzip") == data
    assert read(pieces(zlib.compress(data), size), "Deflate ") == data


@given(data=st.binary(min_size=1, max_size=500), cut=st.integers(1, 40))
def test_a_compressed_body_that_is_cut_off_is_noticed(data: bytes, cut: int) -> None:
    """Even if nothing but the checksum is missing: half a reply is no reply."""
    whole = gzip.compress(data)
    with pytest.raises(ResponseError, match="cut off"):
        read([whole[: max(1, len(whole) - cut)]], "gzip")


def test_a_damaged_body_is_noticed() -> None:
    """Not a zlib.error: an error of ours."""
    with pytest.raises(ResponseError, match="damaged"):
        read([b"this is no gzip"], "gzip")


def test_a_bomb_is_stopped_before_it_goes_off() -> None:
    """No more than the limit and one byte is ever decompressed."""
    bomb = gzip.compress(bytes(50_000_000))
    with pytest.raises(ResponseError, match="larger than 10,000 bytes"):
        read([bomb], "gzip")


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_the_limit_is_inclusive(encoding: str) -> None:
    """Exactly the limit is taken, one byte more is not."""
    body = os.urandom(LIMIT)
    written = gzip.compress(body) if encoding else body
    more = gzip.compress(body + b"x") if encoding else body + b"x"

    assert read([written], encoding) == body
    with pytest.raises(ResponseError, match="max_response_bytes"):
        read([more], encoding)


def test_a_declared_length_over_the_limit_is_not_waited_for() -> None:
    """The header is enough to know."""
    with pytest.raises(ResponseError, match="larger"):
        BodyReader(status_code=200, encoding="", declared="10001", limit=LIMIT)


def test_an_encoding_that_was_not_asked_for_is_refused() -> None:
    """Brotli needs a library that we do not ask people to install."""
    with pytest.raises(ResponseError, match="'br'"):
        BodyReader(status_code=200, encoding="br", declared="", limit=LIMIT)


def test_an_empty_body_needs_no_compression() -> None:
    """A bare 503 may still carry the header."""
    assert read([], "gzip") == b""
