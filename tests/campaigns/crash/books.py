"""The two books of a crash test: what the server was sent, and what the ledger says of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import attrs

from .server import AMBIGUOUS

__all__ = ["Books", "Row"]

# Written out, not taken from the package: this is the judge.
SETTLED = frozenset({"sent", "rejected", "in_doubt", "suppressed", "expired", "cancelled", "abandoned"})


@attrs.frozen
class Row:
    """A recipient, as it stands in the database."""

    state: str
    cause: str | None
    attempts: int


@attrs.frozen
class Books:
    """Where the books disagree with the promise: each of the properties is empty, or the promise is broken.

    1. Nobody got two texts (`twice`).
    2. Everybody is in a final state, or in doubt (`unsettled`).
    3. *Sent* means that the server has the text; whoever the server has a text for is *sent*, or in doubt; *rejected*
       means that the server has refused it (`misjudged`).
    4. Nobody was tried again unless the reply before had proven that nothing was sent (`asked_again`).
    5. Whoever is in doubt was claimed by a process that was killed, or a reply left room for doubt (`unexplained`).

    Attributes:
        rows: The ledger.
        log: The server's: for each number, the fate of each of its requests and whether it was acted on.
        numbers: Who was to be texted.
    """

    rows: Mapping[str, Row]
    log: Mapping[str, list[tuple[str, bool]]]
    numbers: frozenset[str]

    @property
    def twice(self) -> set[str]:
        return {number for number, requests in self.log.items() if sum(acted for _, acted in requests) > 1}

    @property
    def unsettled(self) -> set[str]:
        settled = {number for number, row in self.rows.items() if row.state in SETTLED}
        return set(self.numbers ^ self.rows.keys()) | (self.rows.keys() - settled)

    @property
    def misjudged(self) -> set[str]:
        declined = {number for number, requests in self.log.items() if requests[-1][0] == "declined"}
        return (
            (self.of("sent") - self.texted)
            | (self.texted - self.of("sent") - self.in_doubt)
            | (self.of("rejected") - declined)
        )

    @property
    def asked_again(self) -> set[str]:
        return {number for number, requests in self.log.items() if {fate for fate, _ in requests[:-1]} - {"throttled"}}

    @property
    def unexplained(self) -> dict[str, tuple[Row, list[tuple[str, bool]]]]:
        return {
            number: (self.rows[number], self.log.get(number, []))
            for number in self.in_doubt - self.killed
            if not {fate for fate, _ in self.log.get(number, [])[-1:]} & AMBIGUOUS
        }

    @property
    def texted(self) -> set[str]:
        """Whoever the server has a text for."""
        return {number for number, requests in self.log.items() if any(acted for _, acted in requests)}

    @property
    def in_doubt(self) -> set[str]:
        """Whoever is in doubt, for either reason."""
        return self.of("in_doubt")

    @property
    def killed(self) -> set[str]:
        """Whoever is in doubt because the process that had claimed them was killed."""
        return {number for number in self.in_doubt if self.rows[number].cause == "worker-lost"}

    def of(self, state: str) -> set[str]:
        return {number for number, row in self.rows.items() if row.state == state}

    def check(self, *, at_most_killed: int) -> None:
        """Assert all that must hold."""
        assert set() == self.twice
        assert set() == self.unsettled
        assert set() == self.misjudged
        assert set() == self.asked_again
        assert {} == self.unexplained, self.unexplained
        assert len(self.killed) <= at_most_killed

    def __str__(self) -> str:
        states = Counter(row.state for row in self.rows.values())
        return (
            f"{len(self.rows)} recipients {dict(states)}, {len(self.texted)} texted, {len(self.twice)} twice, "
            f"{len(self.unsettled)} unsettled, {len(self.killed)} in doubt by kills, "
            f"{len(self.in_doubt - self.killed)} by lost replies"
        )
