"""The suppression list: who is on it, whose word counts, and what goes in and out as CSV."""

from __future__ import annotations

import io
import itertools
from typing import TYPE_CHECKING

import pytest

from pidj_async.errors import InvalidRequestError
from pidj_async.store import Store
from pidj_async.suppressions import (
    Change,
    RejectedLine,
    Suppression,
    Suppressions,
    apply_changes,
    readable_number,
    suppressed_among,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy import Connection

pytestmark = pytest.mark.anyio

MARIA = "+18885553333"
JOHN = "+18885554444"
DESK = "gr:desk"


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    """An empty store."""
    async with Store(store_url) as store:
        yield store


def change(suppressed: bool, event_id: int | None, number: str = MARIA) -> Change:  # noqa: FBT001
    return Change(phone_number=number, suppressed=suppressed, source="test", at=event_id or 99, event_id=event_id)


def apply(*changes: Change) -> object:
    def work(connection: Connection) -> None:
        apply_changes(connection, changes)

    return work


async def test_account_and_groups(store: Store) -> None:
    """What counts for the account counts for every group; what counts for a group, for that one alone."""
    suppressions = Suppressions(store)
    await suppressions.add(MARIA)
    await suppressions.add(JOHN, DESK, source="a letter")
    asked = [(MARIA, None), (MARIA, DESK), (JOHN, None), (JOHN, DESK), (JOHN, "gr:other"), ("+18885550000", DESK)]
    assert [True, True, False, True, False, False] == [await suppressions.is_suppressed(*one) for one in asked]
    assert await suppressions.count() == 2


async def test_what_is_lifted_is_remembered(store: Store) -> None:
    """Taking somebody off the list leaves when and why."""
    suppressions = Suppressions(store)
    await suppressions.add(MARIA)
    await suppressions.remove(MARIA, source="called us")
    (found,) = await suppressions.get(MARIA)
    assert (found.suppressed, found.source, found.group_id, found.event_id) == (False, "called us", None, None)
    assert [one async for one in suppressions.list()] == []
    assert [one async for one in suppressions.list(lifted=True)] == [found]
    assert MARIA not in repr(found)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_the_later_event_wins_in_whatever_order_they_are_written(store: Store, order: tuple[int, ...]) -> None:
    """STOP, START, STOP, written in any order and in one transaction or three, end in STOP."""
    changes = [change(True, 1), change(False, 2), change(True, 3)]  # noqa: FBT003
    for index in order:
        await store.write(apply(changes[index]))  # type: ignore[arg-type]
    await store.write(apply(*(attrs_for(JOHN, changes[index]) for index in order)))  # type: ignore[arg-type]
    suppressions = Suppressions(store)
    assert [(True, 3), (True, 3)] == [
        (one.suppressed, one.event_id) for number in (MARIA, JOHN) for one in await suppressions.get(number)
    ]


def attrs_for(number: str, one: Change) -> Change:
    return change(one.suppressed, one.event_id, number)


async def test_a_person_overrules_events_until_the_next(store: Store) -> None:
    """An event that came before does not undo what a person did; one that comes after does."""
    suppressions = Suppressions(store)
    await store.write(apply(change(True, 5)))  # type: ignore[arg-type]  # noqa: FBT003
    await suppressions.remove(MARIA)
    await store.write(apply(change(True, 4)))  # type: ignore[arg-type]  # noqa: FBT003
    assert not await suppressions.is_suppressed(MARIA)
    await store.write(apply(change(True, 6)))  # type: ignore[arg-type]  # noqa: FBT003
    assert await suppressions.is_suppressed(MARIA)


async def test_inside_a_transaction_of_somebody_elses(store: Store) -> None:
    """`suppressed_among` sees what the same transaction wrote, for more numbers than a statement takes at once."""
    numbers = [f"+1888555{number:04d}" for number in range(1_200)]

    def work(connection: Connection) -> tuple[set[str], set[str]]:
        apply_changes(connection, [change(True, None, number) for number in numbers[::2]])  # noqa: FBT003
        return suppressed_among(connection, numbers, DESK), suppressed_among(connection, [])

    assert await store.write(work) == (set(numbers[::2]), set())


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"phone_number": "8885553333"}, "phone_number"),
        ({"phone_number": "+1 888 555 3333"}, "phone_number"),
        ({"phone_number": MARIA, "group_id": "desk"}, "group_id"),
        ({"phone_number": MARIA, "group_id": "gr:" + "x" * 80}, "group_id"),
        ({"phone_number": MARIA, "source": " "}, "source"),
        ({"phone_number": MARIA, "source": "x" * 41}, "source"),
    ],
)
@pytest.mark.parametrize("verb", ["add", "remove"])
async def test_a_mistake_is_refused_before_anything_is_written(
    store: Store, verb: str, arguments: dict[str, str], field: str
) -> None:
    """Numbers are E.164 here, groups are ids, and the error names the argument."""
    suppressions = Suppressions(store)
    with pytest.raises(InvalidRequestError) as refused:
        await getattr(suppressions, verb)(**arguments)
    assert (field, 0) == (refused.value.field, await suppressions.count())


async def test_out_and_in_again(store: Store) -> None:
    """An export imports to the same list; a second import adds nothing."""
    suppressions = Suppressions(store)
    rows = [f"+1888555{number:04d},{DESK if number % 2 else ''}\n" for number in range(501)]
    await suppressions.import_(["phone_number,group_id\n", *rows], source="manual")
    await suppressions.add(MARIA)
    await suppressions.remove(MARIA)
    file = io.StringIO(newline="")
    assert await suppressions.export(file) == 501
    first, second = file.getvalue().splitlines()[:2]
    assert first == "phone_number,group_id,source,changed_at"
    assert second.startswith("+18885550000,,manual,20")

    before = [(one.phone_number, one.group_id) async for one in suppressions.list()]
    for number in range(0, 501, 50):
        await suppressions.remove(f"+1888555{number:04d}")
    for added in (11, 0):
        report = await suppressions.import_(file.getvalue().splitlines(keepends=True))
        assert (report.added, report.unchanged, report.rejected) == (added, 501 - added, ())
    assert [(one.phone_number, one.group_id) async for one in suppressions.list()] == before
    assert [one.phone_number async for one in suppressions.list(group_id=DESK)] == [
        f"+1888555{number:04d}" for number in range(1, 501, 2)
    ]


async def test_lines_that_cannot_be_read_are_reported(store: Store) -> None:
    """The others are imported; numbers may be spelled as people spell them, and are masked in the report."""
    suppressions = Suppressions(store)
    lines = [
        "name,phone_number,group_id\n",
        "Maria,(888) 555-3333,\n",
        "Maria,888.555.3333,\n",
        "John,1-888-555-4444,gr:desk\n",
        "Nobody,555-12345,\n",
        "Nobody,,\n",
        "Ann,+18885556666,desk\n",
        "Short\n",
    ]
    report = await suppressions.import_(lines, source="old list")
    assert (report.added, report.unchanged) == (2, 1)
    assert [5, 6, 7, 8] == [line.line for line in report.rejected]
    assert all(isinstance(line, RejectedLine) and "55512345" not in line.problem for line in report.rejected)
    found = [(one.phone_number, one.group_id, one.source) async for one in suppressions.list()]
    assert found == [(MARIA, None, "old list"), (JOHN, DESK, "old list")]


async def test_a_file_without_a_heading_is_refused(store: Store) -> None:
    """A list of bare numbers would lose its first line."""
    for lines in ([], [f"{MARIA}\n", f"{JOHN}\n"]):
        with pytest.raises(InvalidRequestError, match="phone_number"):
            await Suppressions(store).import_(lines)


@pytest.mark.parametrize(
    ("written", "number"),
    [
        (MARIA, MARIA),
        ("+1 (888) 555-3333", MARIA),
        ("888.555.3333", MARIA),
        ("18885553333", MARIA),
        ("888‑555‑3333", MARIA),
        ("+4915112345678", "+4915112345678"),
        ("4915112345678", None),
        ("555-3333", None),
        ("0888 555 3333", None),
        ("+1888555333x", None),
        ("", None),
        (None, None),
    ],
)
def test_numbers_as_a_webhook_may_have_them(written: str | None, number: str | None) -> None:
    """What can only mean one number is read; the rest is not guessed at."""
    assert readable_number(written) == number


def test_a_record_masks_the_number() -> None:
    """Neither a suppression nor a change shows whose it is."""
    assert MARIA not in repr(change(True, 1))  # noqa: FBT003
    assert "+188" in repr(Change(phone_number=MARIA, suppressed=True, source="x", at=1))
    assert Suppression.__doc__
