"""The suppression list: who must not be texted.

A number is suppressed for the whole account, or for one group. The inbox keeps the list by itself
(`pidj_async.webhooks.inbox`): an opt-out is on it when the webhook is answered. The rules:

1. A number is suppressed *for a group* if it is suppressed for the account or for that group.
2. Of two events about a number the later one counts, whichever is written first.
3. What a person does here (`Suppressions.add`, `remove`, `import_`) counts from then on, until the next event. An
   event that came before does not undo it.
4. Nothing is forgotten: who is taken off the list stays in it as lifted, with the time and the source.
"""

from __future__ import annotations

import csv
import re
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TextIO

import anyio.to_thread
import attrs
from sqlalchemy import ColumnElement, Connection, Row, Select, and_, bindparam, func, or_, select, tuple_

from pidj_async._fields import E164, IdKind, PhoneNumberKind
from pidj_async._masking import mask_phone_number
from pidj_async.errors import InvalidRequestError
from pidj_async.store.engine import Purpose, exclusively, insert_if_new
from pidj_async.store.schema import suppressions

if TYPE_CHECKING:
    from pidj_async.store import Store

__all__ = [
    "ACCOUNT",
    "Change",
    "ImportReport",
    "RejectedLine",
    "Suppression",
    "Suppressions",
    "apply_changes",
    "readable_number",
    "suppressed_among",
]

ACCOUNT: Final = ""
"""The scope of a suppression that counts for every group."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PAGE: Final = 500  # SQLite takes 32,766 variables in a statement; old builds 999
_PHONE: Final = PhoneNumberKind()
_GROUP: Final = IdKind("gr:", "group")
_MAX_SOURCE: Final = 40
_MAX_SCOPE: Final = 80
_COLUMNS: Final = ("phone_number", "group_id", "source", "changed_at")
_PUNCTUATION: Final = re.compile(r"[\s().\-\u2010-\u2015]+")
_NORTH_AMERICAN: Final = re.compile(r"1?([2-9][0-9]{2}[2-9][0-9]{6})\Z")


@attrs.frozen(kw_only=True)
class Suppression:
    """What the list has about a number.

    Attributes:
        phone_number: E.164.
        group_id: The group it counts for; ``None`` for the whole account.
        suppressed: ``False`` if it was lifted.
        source: Who said so: ``"opt-out"``, ``"opt-in"`` (Pidj's events), ``"text"`` (a text that says STOP or START),
            ``"manual"``, ``"import"``, or what was given to `Suppressions.add`.
        changed_at: When, UTC.
        event_id: The last event in the inbox that had a say, if any had.
    """

    phone_number: str = attrs.field(repr=mask_phone_number)
    group_id: str | None
    suppressed: bool
    source: str
    changed_at: datetime
    event_id: int | None = None


@attrs.frozen(kw_only=True)
class RejectedLine:
    """A line that could not be imported.

    Attributes:
        line: Its number in the file, the first is 1.
        problem: What is wrong with it. Numbers are masked.
    """

    line: int
    problem: str


@attrs.frozen(kw_only=True)
class ImportReport:
    """What became of an import.

    Attributes:
        added: How many numbers were put on the list.
        unchanged: How many were on it already.
        rejected: The lines that were left out. They are *not* suppressed: mend and import them.
    """

    added: int
    unchanged: int
    rejected: tuple[RejectedLine, ...]


@attrs.frozen(kw_only=True)
class Change:
    """One change to the list.

    Attributes:
        phone_number: E.164.
        suppressed: Put on the list, or lifted.
        source: Who says so, at most 40 characters.
        at: When, in microseconds since 1970.
        scope: A group's id, or `ACCOUNT`.
        event_id: The event that says so; ``None`` for a person.
    """

    phone_number: str = attrs.field(repr=mask_phone_number)
    suppressed: bool
    source: str
    at: int
    scope: str = ACCOUNT
    event_id: int | None = None


# --- inside somebody's transaction --------------------------------------------------------------------------------


def suppressed_among(
    connection: Connection, numbers: Collection[str], group_id: str | None = None, *, any_group: bool = False
) -> set[str]:
    """Find out which of some numbers must not be texted, inside a transaction of the caller's.

    Args:
        connection: In a transaction on a `Store`.
        numbers: E.164.
        group_id: The group that wants to text them. Without it, only what counts for the whole account is looked at.
        any_group: Look at what counts for any group, too: for whoever texts from a number, and knows no group.

    Returns:
        Those of `numbers` that are suppressed.
    """
    scopes = [ACCOUNT] if group_id is None else [ACCOUNT, group_id]
    among = _AMONG if any_group else _AMONG_SCOPES
    wanted = list(numbers)
    found: set[str] = set()
    for start in range(0, len(wanted), _PAGE):
        page: dict[str, Sequence[str]] = {"numbers": wanted[start : start + _PAGE]}
        if not any_group:
            page["scopes"] = scopes
        found.update(connection.execute(among, page).scalars())
    return found


_AMONG = (
    select(suppressions.c.phone_number)
    .distinct()
    .where(suppressions.c.phone_number.in_(bindparam("numbers", expanding=True)), suppressions.c.suppressed)
)
_AMONG_SCOPES = _AMONG.where(suppressions.c.scope.in_(bindparam("scopes", expanding=True)))


def apply_changes(connection: Connection, changes: Iterable[Change]) -> None:
    """Write changes, each only if no later event has had its say (rule 2), inside a transaction of the caller's.

    Args:
        connection: In a transaction on a `Store` that writes.
        changes: In any order.
    """
    # The last of each number is enough; and in one order everywhere, so that two transactions cannot wait for each
    # other's rows.
    last = {
        (change.phone_number, change.scope): change for change in sorted(changes, key=lambda one: one.event_id or 0)
    }
    if not last:
        return
    exclusively(connection, Purpose.SUPPRESSIONS)  # a campaign's claim is before this, or sees it
    new = insert_if_new(connection, suppressions)
    by_event = new.excluded.event_id.is_not(None)
    later = or_(suppressions.c.event_id.is_(None), suppressions.c.event_id < new.excluded.event_id)
    upsert = new.on_conflict_do_update(
        index_elements=[suppressions.c.phone_number, suppressions.c.scope],
        set_={
            "suppressed": new.excluded.suppressed,
            "source": new.excluded.source,
            "changed_at": new.excluded.changed_at,
            # A person's change leaves the mark of the last event where it is: that is what rule 3 asks for.
            "event_id": func.coalesce(new.excluded.event_id, suppressions.c.event_id),
        },
        where=or_(~by_event, and_(by_event, later)),
    )
    rows = [
        {
            "phone_number": change.phone_number,
            "scope": change.scope,
            "suppressed": change.suppressed,
            "source": change.source[:_MAX_SOURCE],
            "changed_at": change.at,
            "event_id": change.event_id,
        }
        for _, change in sorted(last.items())
    ]
    connection.execute(upsert, rows)


def readable_number(text: str | None) -> str | None:
    """Make E.164 of a number as a webhook has it.

    Pidj promises E.164. Should it send something else in an opt-out, that must not be lost for a bracket: spaces,
    brackets, dots and hyphens are dropped, and ten digits of the North American plan (Pidj's home) get their ``+1``.

    Args:
        text: The number.

    Returns:
        The number in E.164; ``None`` if there is none, or it cannot be read.
    """
    if text is None:
        return None
    if E164.match(text):
        return text  # as Pidj promises
    bare = _PUNCTUATION.sub("", text)
    if match := _NORTH_AMERICAN.match(bare):
        bare = f"+1{match[1]}"
    try:
        checked: str = _PHONE.check("phone_number", bare)
    except InvalidRequestError:
        return None
    return checked


# --- for people ---------------------------------------------------------------------------------------------------


class Suppressions:
    """The suppression list of a store.

    ::

        suppressions = Suppressions(store)
        if not await suppressions.is_suppressed("+18885553333", group_id="gr:..."):
            ...

    Args:
        store: Where the list is kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def __repr__(self) -> str:
        return f"<Suppressions in {self._store!r}>"

    async def is_suppressed(self, phone_number: str, group_id: str | None = None) -> bool:
        """Say whether a number must not be texted.

        Args:
            phone_number: E.164.
            group_id: The group that wants to text it. Without it, only what counts for the whole account is looked at.

        Raises:
            InvalidRequestError: The number is not E.164, or the id is not a group's.
            StoreError: The store could not be read.
        """
        number, scope = _checked(phone_number, group_id)
        return bool(await self._store.read(lambda connection: suppressed_among(connection, [number], scope or None)))

    async def add(self, phone_number: str, group_id: str | None = None, *, source: str = "manual") -> None:
        """Put a number on the list.

        Args:
            phone_number: E.164.
            group_id: The group it counts for; the whole account if left out.
            source: Who says so, at most 40 characters.

        Raises:
            InvalidRequestError: The number is not E.164, the id is not a group's, or the source is too long.
            StoreError: The store could not be written.
        """
        await self._change(phone_number, group_id, source, suppressed=True)

    async def remove(self, phone_number: str, group_id: str | None = None, *, source: str = "manual") -> None:
        """Lift a suppression. What counts for the account and what counts for a group are lifted separately.

        Args:
            phone_number: E.164.
            group_id: As it was added.
            source: Who says so, at most 40 characters.

        Raises:
            InvalidRequestError: As for `add`.
            StoreError: The store could not be written.
        """
        await self._change(phone_number, group_id, source, suppressed=False)

    async def get(self, phone_number: str) -> tuple[Suppression, ...]:
        """Return all that the list has about a number, lifted suppressions included; the account's first.

        Args:
            phone_number: E.164.

        Raises:
            InvalidRequestError: The number is not E.164.
            StoreError: The store could not be read.
        """
        number, _ = _checked(phone_number, None)
        query = select(suppressions).where(suppressions.c.phone_number == number).order_by(suppressions.c.scope)
        rows = await self._store.read(lambda connection: connection.execute(query).all())
        return tuple(map(_suppression, rows))

    async def count(self) -> int:
        """Return how many different numbers are suppressed, for the account or for any group."""
        query = select(func.count(suppressions.c.phone_number.distinct())).where(suppressions.c.suppressed)
        return await self._store.read(lambda connection: int(connection.execute(query).scalar_one()))

    async def list(self, *, group_id: str | None = None, lifted: bool = False) -> AsyncIterator[Suppression]:
        """Go through the list, in order of number, a page at a time.

        Args:
            group_id: Only what counts for this group by name; what counts for the whole account is left out.
            lifted: Also what was lifted.

        Yields:
            One suppression after the other.

        Raises:
            InvalidRequestError: The id is not a group's.
            StoreError: The store could not be read.
        """
        wanted: list[ColumnElement[bool]] = [] if lifted else [suppressions.c.suppressed]
        if group_id is not None:
            wanted.append(suppressions.c.scope == _GROUP.check("group_id", group_id))
        key = tuple_(suppressions.c.phone_number, suppressions.c.scope)
        query = select(suppressions).where(*wanted).order_by(suppressions.c.phone_number, suppressions.c.scope)
        query = query.limit(_PAGE)
        page = query
        while True:
            rows = await self._store.read(partial(_all, page))
            for row in rows:
                yield _suppression(row)
            if len(rows) < _PAGE:
                return
            page = query.where(key > tuple_(rows[-1].phone_number, rows[-1].scope))

    async def export(self, file: TextIO) -> int:
        """Write all that is suppressed as CSV: ``phone_number``, ``group_id``, ``source``, ``changed_at`` (ISO 8601).

        Args:
            file: Opened for writing, with ``newline=""``.

        Returns:
            How many lines were written, the heading not counted.
        """
        writer = csv.writer(file)
        await anyio.to_thread.run_sync(writer.writerow, _COLUMNS)
        count = 0
        page: list[tuple[str, ...]] = []
        async for one in self.list():
            page.append((one.phone_number, one.group_id or "", one.source, one.changed_at.isoformat()))
            if len(page) == _PAGE:
                await anyio.to_thread.run_sync(writer.writerows, page)
                count, page = count + len(page), []
        await anyio.to_thread.run_sync(writer.writerows, page)
        return count + len(page)

    async def import_(
        self, lines: Iterable[str], group_id: str | None = None, *, source: str = "import"
    ) -> ImportReport:
        """Put numbers from a CSV on the list.

        Args:
            lines: A file that is opened for reading with ``newline=""``, or its lines. The first is the heading; it
                must have ``phone_number``, and may have ``group_id`` and ``source``; other columns are passed over.
                Numbers may be written with spaces, brackets and hyphens, and North American ones without their
                ``+1``.
            group_id: The group that lines without one count for; the whole account if left out.
            source: The source of lines without one.

        Returns:
            How many were added, and which lines could not be read.

        Raises:
            InvalidRequestError: The heading has no ``phone_number``, or the id is not a group's.
            StoreError: The store could not be written. Lines before that are kept; importing again does no harm.
        """
        _, scope = _checked(None, group_id)
        reader = csv.DictReader(lines)
        if "phone_number" not in (reader.fieldnames or ()):
            name, problem = "lines", "the first line must be a heading with phone_number in it"
            raise InvalidRequestError(name, problem)
        seen = added = 0
        rejected: list[RejectedLine] = []
        page: dict[tuple[str, str], str] = {}

        async def flush() -> int:
            rows = [(*key, who) for key, who in page.items()]
            page.clear()
            return await self._store.write(lambda connection: self._import(connection, rows)) if rows else 0

        for row in reader:
            try:
                key = _checked(_spelled_out(row["phone_number"]), row.get("group_id") or scope or None)
                who = _check_source(row.get("source") or source)
            except InvalidRequestError as error:
                rejected.append(RejectedLine(line=reader.line_num, problem=str(error)))
                continue
            seen += 1
            page.setdefault(key, who)
            if len(page) == _PAGE:
                added += await flush()
        added += await flush()
        return ImportReport(added=added, unchanged=seen - added, rejected=tuple(rejected))

    def _import(self, connection: Connection, rows: Sequence[tuple[str, str, str]]) -> int:
        """Write them, and return how many were not on the list yet."""
        key = tuple_(suppressions.c.phone_number, suppressions.c.scope)
        on_it = select(suppressions.c.phone_number, suppressions.c.scope)
        on_it = on_it.where(key.in_([(number, scope) for number, scope, _ in rows]), suppressions.c.suppressed)
        known = {(row.phone_number, row.scope) for row in connection.execute(on_it)}
        at = self._store.now(connection)
        fresh = [row for row in rows if row[:2] not in known]
        apply_changes(
            connection,
            [
                Change(phone_number=number, scope=scope, suppressed=True, source=who, at=at)
                for number, scope, who in fresh
            ],
        )
        return len(fresh)

    async def _change(self, phone_number: str, group_id: str | None, source: str, *, suppressed: bool) -> None:
        number, scope = _checked(phone_number, group_id)
        _check_source(source)

        def write(connection: Connection) -> None:
            at = self._store.now(connection)
            change = Change(phone_number=number, scope=scope, suppressed=suppressed, source=source, at=at)
            apply_changes(connection, [change])

        await self._store.write(write)


def _checked(phone_number: str | None, group_id: str | None) -> tuple[str, str]:
    number = "" if phone_number is None else _PHONE.check("phone_number", phone_number)
    scope = ACCOUNT if group_id is None else _GROUP.check("group_id", group_id)
    if len(scope) > _MAX_SCOPE:
        name, problem = "group_id", f"is longer than {_MAX_SCOPE} characters"
        raise InvalidRequestError(name, problem)
    return number, scope


def _check_source(source: str) -> str:
    if not source.strip() or len(source) > _MAX_SOURCE or not source.isprintable():
        name, problem = "source", f"must be a short text, at most {_MAX_SOURCE} characters"
        raise InvalidRequestError(name, problem)
    return source


def _spelled_out(text: str | None) -> str:
    return readable_number(text) or text or ""  # what cannot be read is refused by name


def _all(query: Select[Any], connection: Connection) -> Sequence[Row[Any]]:
    return connection.execute(query).all()


def _suppression(row: Row[Any]) -> Suppression:
    return Suppression(
        phone_number=row.phone_number,
        group_id=row.scope or None,
        suppressed=bool(row.suppressed),
        source=row.source,
        changed_at=_EPOCH + timedelta(microseconds=row.changed_at),
        event_id=row.event_id,
    )
