"""The one request that everybody sends: its parts, and how the server knows it."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlencode

__all__ = [
    "ACCOUNT_KEY",
    "AUTHORIZATION",
    "GROUP_ID",
    "MOST_PEOPLE",
    "NUMBERS",
    "PATH",
    "SENDER",
    "TEXT",
    "TOKEN",
    "Dose",
    "form",
    "index_of",
    "person",
    "usual",
]

ACCOUNT_KEY: Final = "benchmark-account"
TOKEN: Final = "benchmark-token"
AUTHORIZATION: Final = "Basic " + base64.b64encode(f"{ACCOUNT_KEY}:{TOKEN}".encode()).decode()
PATH: Final = "/api/2020/send"
TEXT: Final = "Your appointment is tomorrow at 9:30. Reply C to confirm."
GROUP_ID: Final = "gr:0f8fad5b-d9cb-469f-a165-70867728950e"
SENDER: Final = "+18885559999"
"""Who sends, for services that have no groups."""

NUMBERS: Final = tuple(f"+1888555{number:04}" for number in range(1_000))
"""Recipients, in turn: what is the same for every text may be prepared once, the recipient may not."""


def form(number: str) -> bytes:
    """The body of one text, as every contender writes it."""
    return urlencode({"to_number": number, "text_body": TEXT, "group_id": GROUP_ID}).encode()


MOST_PEOPLE: Final = 7_000_000
"""How many there can be of whom no two have the same number."""

_DENVER: Final = "+1303"
_FIRST: Final = 2_000_000


def person(index: int) -> str:
    """The number of somebody who is to be texted once, in a place where such numbers exist."""
    return f"{_DENVER}{_FIRST + index}"


def index_of(number: str) -> int | None:
    """Which person has this number; ``None`` if nobody has it."""
    local = number.removeprefix(_DENVER)
    if len(local) != 7 or len(number) != 12 or not (local.isascii() and local.isdigit()):
        return None
    index = int(local) - _FIRST
    return index if index >= 0 else None


def usual(index: int) -> str:
    """The number of one of the thousand who are texted in turn."""
    return NUMBERS[index % len(NUMBERS)]


class Dose:
    """Recipients until a number of requests or a time is reached. Workers share one.

    Args:
        requests: How many at most.
        seconds: For how long at most, counted from now.
        whom: The recipients' numbers.
        first: Of those, where to begin.
    """

    def __init__(self, requests: int, seconds: float, *, whom: Callable[[int], str] = usual, first: int = 0) -> None:
        self.taken = 0
        self._whom = whom
        self._first = first
        self._requests = requests
        self._until = time.perf_counter() + seconds

    def __iter__(self) -> Dose:
        return self

    def __next__(self) -> str:
        if self.taken >= self._requests or time.perf_counter() >= self._until:
            raise StopIteration
        number = self._whom(self._first + self.taken)
        self.taken += 1
        return number
