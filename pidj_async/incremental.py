"""A reply with many results, read piece by piece as it arrives: without I/O, and in bounded memory.

The reply is one JSON object, one of whose values is the array of results. The array's items are taken out as soon as
they are whole. What is left of the object, with an empty array in it, is read in the end by `sansio.parse_response`, as
every reply is: a refusal is a refusal wherever in the reply it stands, and nothing is said here that is not said there.

There are two ways through the array:

1. **The exact way** has the standard library decode one value after another. A value that is cut off by the end of a
   piece is read again with the next.
2. **The quick way**, if msgspec is installed, wraps everything up to the last ``},`` in brackets and decodes it at once
   (`_documented`). If that ``},`` is inside a text or a nested object, the brackets do not match, and it is no JSON:
   only a cut between two items can succeed. What fails goes the exact way.
"""

from __future__ import annotations

import codecs
import enum
import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

import attrs

from pidj_async._endpoint import Endpoint
from pidj_async._fields import Request
from pidj_async.errors import ResponseError
from pidj_async.sansio import WireResponse, items_decoder, no_json, parse_response, says_no
from pidj_async.wire import MissingFieldError, another_shape, structure

__all__ = ["LARGEST_VALUE", "ItemReader"]

M = TypeVar("M")

LARGEST_VALUE: Final = 8 * 1024 * 1024
"""The greatest size in bytes of one item, or of another value."""

_LARGEST_REST: Final = 1024 * 1024  # bytes of everything beside the array: Pidj's own is shorter than a hundred

_PATIENCE: Final = 64 * 1024  # bytes of a value from which on it is tried again only when they have doubled

_decode = json.JSONDecoder().raw_decode
_blanks = re.compile(r"[ \t\n\r]*").match
_colon = re.compile(r"[ \t\n\r]*:[ \t\n\r]*").match
_delimiter = re.compile(r"[ \t\n\r]*([,\]}])").match
_CLOSING: Final = {"[": "]", "{": "}"}  # PHP writes an array with gaps as an object


class _Place(enum.Enum):
    """What comes next."""

    OBJECT = enum.auto()
    FIRST_KEY = enum.auto()
    KEY = enum.auto()
    FIRST_ITEM = enum.auto()
    ITEM = enum.auto()
    DELIMITER = enum.auto()
    NOTHING = enum.auto()
    ANYTHING = enum.auto()  # this reply cannot be taken apart: it is kept, and read as a whole


_ITEMS: Final = frozenset({_Place.FIRST_ITEM, _Place.ITEM})


class _CutOffError(Exception):
    """The text ends too early to know what it means."""


class _DamagedError(Exception):
    """Whatever follows, this is no JSON."""


@attrs.define
class _Text:
    """What has been decoded, and how far it has been read."""

    text: str
    at: int = 0

    def peek(self) -> str:
        """Go to the next character that means something, and return it."""
        blanks = _blanks(self.text, self.at)
        assert blanks is not None  # noqa: S101  it matches nothing, too
        self.at = blanks.end()
        if self.at == len(self.text):
            raise _CutOffError
        return self.text[self.at]

    def key(self) -> tuple[str, int]:
        """Return the key that stands here, and where its value begins."""
        if self.peek() != '"':
            raise _DamagedError
        try:
            key, end = _decode(self.text, self.at)
        except ValueError:
            raise _CutOffError from None
        colon = _colon(self.text, end)
        if colon is None and self.text[end:].strip(" \t\n\r"):
            raise _DamagedError
        if colon is None or colon.end() == len(self.text):
            raise _CutOffError
        return key, colon.end()

    def value(self, start: int) -> tuple[Any, str, int]:
        """Return the value that begins there, the delimiter behind it, and where that ends."""
        try:
            value, end = _decode(self.text, start)
        except ValueError:
            raise _CutOffError from None
        except RecursionError:
            raise _DamagedError from None
        delimiter = _delimiter(self.text, end)
        if delimiter is None:  # a number may go on, too
            raise _CutOffError
        return value, delimiter[1], delimiter.end()


class ItemReader(Generic[M]):
    """Reads the reply to a call that returns many.

    Args:
        row: The row of the request; one with ``many``.
        status_code: The HTTP status.
        headers: The reply's headers, names in lower case.
        request: See `parse_response`.
        secrets: See `parse_response`.
    """

    def __init__(
        self,
        row: Endpoint[tuple[M, ...]],
        *,
        status_code: int,
        headers: Mapping[str, str],
        request: Request[tuple[M, ...]] | None = None,
        secrets: Iterable[str] = (),
    ) -> None:
        self._row = row
        self._status_code = status_code
        self._headers = headers
        self._request = request
        self._secrets = tuple(secrets)
        self._decode_quickly: Any = items_decoder(row)
        self._place = _Place.OBJECT if 200 <= status_code < 300 else _Place.ANYTHING
        self._size = 0
        self._unread = b""
        self._worth_reading = 0  # how long `_unread` has to be
        self._before = bytearray()  # the object up to its first item
        self._after = bytearray()  # and from behind the last one on
        self._closing = ""  # the bracket behind the items, once they have begun
        self._refused = False
        self._misfit = b""  # the first item that was none

    def feed(self, piece: bytes) -> list[M]:
        """Take the next bytes of the body, and return the items that they complete.

        Raises:
            ResponseError: The reply is not what the API promises, whatever may follow.
        """
        self._size += len(piece)
        self._unread = self._unread + piece if self._unread else piece
        items: list[M] = []
        if self._place is not _Place.ANYTHING and len(self._unread) >= self._worth_reading:
            if not self._read_quickly(items):
                self._read_exactly(items, final=False)
            left = len(self._unread)
            self._worth_reading = 2 * left if left > _PATIENCE else 0
        if len(self._unread) > LARGEST_VALUE or len(self._before) + len(self._after) > _LARGEST_REST:
            problem = "it is damaged, or too much of it is no list"
            raise self._error(problem)
        return items

    def finish(self, now: datetime | None = None) -> list[M]:
        """Say that the body is at its end, and return the items that were not returned yet.

        Args:
            now: See `parse_response`.

        Raises:
            APIError: Pidj said no.
            ResponseError: The reply is not what the API promises; for one, it is not whole.
        """
        items: list[M] = []
        if self._place is not _Place.ANYTHING:
            self._read_exactly(items, final=True)
        if self._place is _Place.ANYTHING:
            return [*self._parse(self._unread, now)]
        if self._place is not _Place.NOTHING:
            raise self._no_json()
        # A refusal says more than an item that is none, so that comes second.
        for inside in (b"", self._misfit) if self._misfit else (b"",):
            self._parse(self._before + inside + self._after, now)
        if self._refused or self._misfit:
            # In the beginning, that is: at its end the reply says something else.
            problem = "it contradicts itself"
            raise self._error(problem)
        return items

    # ------------------------------------------------------------------------------------------------- place by place

    def _read_quickly(self, items: list[M]) -> bool:
        if self._decode_quickly is None or self._place not in _ITEMS or self._closing != "]":
            return False
        cut = self._unread.rfind(b"},")
        if cut < 0:
            return False
        try:
            decoded: list[M] = self._decode_quickly(b"[%b]" % self._unread[: cut + 1])
        except another_shape():
            return False
        if not self._refused and not self._misfit:
            items += decoded
        self._place = _Place.ITEM
        self._unread = self._unread[cut + 2 :]
        return True

    def _read_exactly(self, items: list[M], *, final: bool) -> None:
        if self._place is _Place.OBJECT and not self._find_encoding(final=final):
            return
        try:
            decoded, used = codecs.utf_8_decode(self._unread, "surrogatepass", final)
        except UnicodeDecodeError:
            raise self._no_json() from None
        text = _Text(decoded)
        read = 0  # up to where it is done with
        try:
            while self._place is not _Place.ANYTHING:
                if self._place in _ITEMS:
                    self._read_item(text, items)
                else:
                    self._read_member(text)
                read = text.at
        except _CutOffError:
            pass
        except _DamagedError:
            raise self._no_json() from None
        if self._place is _Place.NOTHING:
            read = text.at  # blanks behind the object
        if read:
            self._unread = _encoded(decoded[read:]) + self._unread[used:]

    def _find_encoding(self, *, final: bool) -> bool:
        """Whether the body can be read piece by piece, as far as is known."""
        if len(self._unread) < 4 and not final:
            return False
        encoding = json.detect_encoding(self._unread)  # as `json.loads` does
        if encoding == "utf-8-sig":
            self._unread = self._unread.removeprefix(codecs.BOM_UTF8)
        elif encoding != "utf-8":
            self._place = _Place.ANYTHING
        return self._place is _Place.OBJECT

    def _read_member(self, text: _Text) -> None:
        """Read what stands outside the items: the brace, a key with its value and a delimiter, a delimiter alone."""
        start = text.at
        character = text.peek()
        if self._place is _Place.OBJECT and character != "{":
            self._place = _Place.ANYTHING
            return
        if self._place is _Place.OBJECT:
            text.at += 1
            self._place = _Place.FIRST_KEY
        elif self._place is _Place.DELIMITER or (self._place is _Place.FIRST_KEY and character == "}"):
            self._go_on_behind(character)
            text.at += 1
        elif self._place is _Place.NOTHING:
            raise _DamagedError
        else:
            key, value_at = text.key()
            opening = text.text[value_at]
            if key == self._row.envelope and opening in _CLOSING:
                self._begin_items(opening)
                text.at = value_at + 1
                self._before += _encoded(text.text[start : text.at])
                return
            _, delimiter, end = text.value(value_at)
            self._go_on_behind(delimiter)
            text.at = end
        part = _encoded(text.text[start : text.at])
        if self._closing:
            self._after += part
        else:
            self._before += part

    def _go_on_behind(self, delimiter: str) -> None:
        if delimiter not in ",}":
            raise _DamagedError
        self._place = _Place.KEY if delimiter == "," else _Place.NOTHING

    def _begin_items(self, opening: str) -> None:
        if self._closing:
            problem = f"it has {self._row.envelope!r} twice"
            raise self._error(problem)
        # If the reply says no already, what follows are no results, whatever they look like.
        self._refused = says_no(json.loads(self._before + b'"":0}'))
        self._closing = _CLOSING[opening]
        self._place = _Place.FIRST_ITEM

    def _read_item(self, text: _Text, items: list[M]) -> None:
        """Read an item and the comma behind it, or the items' end."""
        delimiter = text.peek()
        if self._place is _Place.FIRST_ITEM and delimiter == self._closing:
            text.at += 1
        else:
            start = text.at if self._closing == "]" else text.key()[1]
            value, delimiter, end = text.value(start)
            if delimiter not in {",", self._closing}:
                raise _DamagedError
            text.at = end
            self._place = _Place.ITEM
            self._take(value, items)
        if delimiter != ",":
            self._after += delimiter.encode()
            self._place = _Place.DELIMITER

    def _take(self, value: Any, items: list[M]) -> None:
        if self._refused or self._misfit:
            return
        if isinstance(value, dict):
            try:
                items.append(structure(value, self._row.model, self._row.renames))  # type: ignore[arg-type]
            except MissingFieldError:
                pass
            else:
                return
        self._misfit = (b"" if self._closing == "]" else b'"":') + json.dumps(value).encode()

    # ---------------------------------------------------------------------------------------------------- what is said

    def _parse(self, content: bytes | bytearray, now: datetime | None) -> tuple[M, ...]:
        response = WireResponse(status_code=self._status_code, headers=self._headers, content=bytes(content))
        return parse_response(self._row, response, request=self._request, secrets=self._secrets, now=now).result

    def _no_json(self) -> ResponseError:
        return no_json(
            self._row, self._status_code, self._headers, self._size, request=self._request, secrets=self._secrets
        )

    def _error(self, problem: str) -> ResponseError:
        msg = f"{self._row.name}: HTTP {self._status_code}, but the reply is not of the promised shape: {problem}"
        return ResponseError(msg, status_code=self._status_code)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
