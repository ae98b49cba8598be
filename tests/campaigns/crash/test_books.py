"""The judge of the crash tests sees every way in which the promise can be broken."""

from __future__ import annotations

import pytest

from .books import Books, Row

NUMBER = "+18885550001"
OK, THROTTLED, DECLINED = ("ok", True), ("throttled", False), ("declined", False)
ALL = {"twice", "unsettled", "misjudged", "asked_again", "unexplained"}


def books(state: str | None, cause: str | None = None, *requests: tuple[str, bool]) -> Books:
    rows = {} if state is None else {NUMBER: Row(state, cause, attempts=1)}
    return Books(rows, {NUMBER: list(requests)} if requests else {}, frozenset({NUMBER}))


@pytest.mark.parametrize(
    ("one", "broken"),
    [
        (books("sent", None, OK), set()),
        (books("sent", None, THROTTLED, THROTTLED, OK), set()),
        (books("sent", "unreadable-reply", ("unreadable", True)), set()),
        (books("rejected", "http-422", DECLINED), set()),
        (books("in_doubt", "worker-lost"), set()),
        (books("in_doubt", "worker-lost", OK), set()),
        (books("in_doubt", "connection-lost", ("drop-after", True)), set()),
        (books("in_doubt", "http-503", THROTTLED, ("503-before", False)), set()),
        (books("sent", None, OK, OK), {"twice", "asked_again"}),
        (books("in_doubt", "worker-lost", ("drop-after", True), OK), {"twice", "asked_again"}),
        (books("sent", None, ("drop-before", False), OK), {"asked_again"}),
        (books("sent", None, DECLINED, OK), {"asked_again"}),
        (books("ready"), {"unsettled"}),
        (books("sending", None), {"unsettled"}),
        (books(None), {"unsettled"}),
        (books("ready", None, OK), {"unsettled", "misjudged"}),
        (books("sent"), {"misjudged"}),
        (books("sent", None, DECLINED), {"misjudged"}),
        (books("rejected", None, OK), {"misjudged"}),
        (books("rejected"), {"misjudged"}),
        (books("suppressed", None, OK), {"misjudged"}),
        (books("in_doubt", "read-timeout", OK), {"unexplained"}),
        (books("in_doubt", "read-timeout"), {"unexplained"}),
    ],
    ids=lambda value: " and ".join(sorted(value)) or "nothing" if isinstance(value, set) else str(value),
)
def test_what_the_judge_sees(one: Books, broken: set[str]) -> None:
    """One recipient, what the ledger says, what the server was sent: exactly the broken promises are found."""
    assert broken == {name for name in ALL if getattr(one, name)}


def test_somebody_who_was_not_to_be_texted_is_found() -> None:
    """A row for a number that nobody gave."""
    one = Books({NUMBER: Row("sent", None, 1)}, {NUMBER: [OK]}, frozenset())

    assert {NUMBER} == one.unsettled


def test_more_lost_by_kills_than_there_can_be() -> None:
    """The bound is checked too."""
    one = books("in_doubt", "worker-lost")
    one.check(at_most_killed=1)
    with pytest.raises(AssertionError):
        one.check(at_most_killed=0)
