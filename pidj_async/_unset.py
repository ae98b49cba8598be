"""``UNSET``: the third thing a field can be, besides a value and ``None``.

Pidj reads an omitted form field as "leave it as it is" and a blank one as "remove the value". Python's ``None``
already means the second, so the first needs a word of its own.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, Literal

__all__ = ["UNSET", "Unset"]


class Unset(Enum):
    """The type of `UNSET`, for annotations: ``name: str | None | Unset = UNSET``."""

    # An enum with a single member is the one kind of sentinel that both mypy and pyright narrow with ``is``.
    UNSET = "UNSET"

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "UNSET"

    __str__ = __repr__


UNSET: Final = Unset.UNSET
"""Leave this field as it is: it is not sent at all."""
