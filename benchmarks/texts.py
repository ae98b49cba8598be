"""The one request that everybody sends: its parts, and how the server knows it."""

from __future__ import annotations

import base64
import time
from typing import Final
from urllib.parse import urlencode

__all__ = ["ACCOUNT_KEY", "AUTHORIZATION", "GROUP_ID", "NUMBERS", "PATH", "SENDER", "TEXT", "TOKEN", "Dose", "form"]

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


class Dose:
    """Recipients until a number of requests or a time is reached. Workers share one.

    Args:
        requests: How many at most.
        seconds: For how long at most, counted from now.
    """

    def __init__(self, requests: int, seconds: float) -> None:
        self.taken = 0
        self._requests = requests
        self._until = time.perf_counter() + seconds

    def __iter__(self) -> Dose:
        return self

    def __next__(self) -> str:
        if self.taken >= self._requests or time.perf_counter() >= self._until:
            raise StopIteration
        number = NUMBERS[self.taken % len(NUMBERS)]
        self.taken += 1
        return number
