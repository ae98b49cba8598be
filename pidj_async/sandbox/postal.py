"""From a postal code to a place, without asking anybody.

Pidj fills in city, state and country when it is given a street and a postal code. The sandbox has no address data, so
its answer is made up, and always the same: a handful of codes that everybody knows, and for all others ``Anytown`` in
a state of the ZIP code's zone (its first digit), or in the country that writes its codes that way.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

__all__ = ["Place", "place_of"]


class Place(NamedTuple):
    """Where a postal code is; no state outside of the United States."""

    city: str
    state: str | None
    country: str


_KNOWN: Final = {
    "10001": Place("New York", "NY", "US"),
    "60601": Place("Chicago", "IL", "US"),
    "84101": Place("Salt Lake City", "UT", "US"),
    "94105": Place("San Francisco", "CA", "US"),
    "K1A0B1": Place("Ottawa", None, "CA"),
    "SW1A1AA": Place("London", None, "GB"),
    "2000": Place("Sydney", None, "AU"),
}
_ZONES: Final = ("MA", "NY", "VA", "FL", "OH", "MN", "IL", "TX", "UT", "CA")
_CANADIAN: Final = re.compile(r"[A-Z][0-9][A-Z][0-9][A-Z][0-9]\Z")


def place_of(postal_code: str) -> Place:
    """Say where a postal code is.

    Args:
        postal_code: A valid ZIP (5 or 10 characters), Canadian, British or Australian code.
    """
    code = re.sub(r"[ -]", "", postal_code.upper())
    if code.isdecimal() and len(code) == len("123456789"):
        code = code[:5]
    if known := _KNOWN.get(code):
        return known
    if code.isdecimal():
        return Place("Anytown", _ZONES[int(code[0])], "US") if len(code) == 5 else Place("Anytown", None, "AU")
    return Place("Anytown", None, "CA" if _CANADIAN.match(code) else "GB")
