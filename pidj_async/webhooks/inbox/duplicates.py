"""Which bodies came in the last few seconds.

To look an event up by the fingerprint of its body takes an index on it, and fingerprints are scattered: each new event
would change a page of its own, which costs as much as everything else that storing it writes. So every process keeps
the fingerprints of the last few seconds itself, and reads what others have stored meanwhile. Ids are given out in the
order in which events are committed, without gaps unless something was rolled back; so a process sees by the next id
whether there is anything to read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, select

from pidj_async.store.schema import events

__all__ = ["MAX_BODIES", "RecentBodies"]

MAX_BODIES: Final = 100_000
"""How many are remembered at most: about 25 MB."""

_PAGE: Final = 200

_NEWEST = (
    select(events.c.id, events.c.received_at, events.c.fingerprint)
    .where(events.c.id > bindparam("after"), events.c.id < bindparam("before"))
    .order_by(events.c.id.desc())
    .limit(_PAGE)
)


class RecentBodies:
    """The fingerprints of the events that came within a window.

    Its methods are called by one transaction at a time, the one that has `Purpose.INSERT_EVENTS`.

    Args:
        window: How far back an equal body makes a duplicate, in microseconds. 0: not at all.
    """

    def __init__(self, window: int) -> None:
        self.window = window
        self._last = 0
        self._arrivals: deque[tuple[int, str]] = deque()  # when, and what; the oldest first
        self._first: dict[str, int] = {}  # the id of the first event with a fingerprint,
        self._others: dict[str, list[int]] = {}  # and of those that came after it, ascending

    def catch_up(self, connection: Connection, *, before: int, now: int) -> None:
        """Learn what other processes have stored, and forget what is too old.

        Args:
            connection: In a transaction that stores events.
            before: The first id that this transaction will give out.
            now: The time, in microseconds.
        """
        if not self.window:
            return
        since = now - self.window
        missed: list[tuple[int, int, str]] = []
        below = before
        while below > self._last + 1 and len(missed) < MAX_BODIES:
            rows = connection.execute(_NEWEST, {"after": self._last, "before": below}).all()
            missed += [(row.id, row.received_at, row.fingerprint) for row in rows if row.received_at >= since]
            if len(rows) < _PAGE or rows[-1].received_at < since:
                break
            below = rows[-1].id
        for event_id, received_at, fingerprint in reversed(missed):
            self._remember(event_id, received_at, fingerprint)
        self._last = before - 1
        while self._arrivals and self._arrivals[0][0] < since:
            self._forget_oldest()

    def first_with(self, fingerprint: str) -> int | None:
        """Return the id of the first event with such a body, if there is one."""
        return self._first.get(fingerprint)

    def add(self, ids: Sequence[int], fingerprints: Iterable[str], *, now: int) -> None:
        """Remember events, once they are committed.

        Args:
            ids: Their ids, ascending.
            fingerprints: What their bodies have.
            now: When they came, in microseconds.
        """
        if not self.window:
            return
        for event_id, fingerprint in zip(ids, fingerprints, strict=True):
            self._remember(event_id, now, fingerprint)
        self._last = ids[-1]

    def _remember(self, event_id: int, received_at: int, fingerprint: str) -> None:
        self._arrivals.append((received_at, fingerprint))
        if self._first.setdefault(fingerprint, event_id) != event_id:
            self._others.setdefault(fingerprint, []).append(event_id)
        if len(self._arrivals) > MAX_BODIES:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        _, fingerprint = self._arrivals.popleft()
        others = self._others.get(fingerprint)
        if others is None:
            del self._first[fingerprint]
            return
        self._first[fingerprint] = others.pop(0)
        if not others:
            del self._others[fingerprint]
