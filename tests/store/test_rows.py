"""Lists go into a statement and come out of it as they are, on both databases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import BigInteger, Integer, String, bindparam, literal, select

from pidj_async.store.engine import open_engine
from pidj_async.store.rows import Query, as_json, ids_of, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection
    from sqlalchemy.types import TypeEngine

COLUMNS: dict[str, TypeEngine[Any]] = {"id": BigInteger(), "fence": Integer(), "text": String()}

# PostgreSQL has no NUL in a text, and no database half a surrogate pair.
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
rows = st.tuples(st.integers(-(2**63), 2**63 - 1), st.none() | st.integers(-(2**31), 2**31 - 1), st.none() | texts)


@pytest.fixture
def connection(store_url: str) -> Iterator[Connection]:
    """In a transaction."""
    engine = open_engine(store_url)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def test_rows_come_back(connection: Connection) -> None:
    """Whatever numbers and letters they have, and where there is nothing."""
    query = Query(select(*rows_of(connection.dialect.name, "given", COLUMNS).c))

    @settings(max_examples=50)
    @given(st.lists(rows, max_size=20))
    def check(values: list[tuple[int, int | None, str | None]]) -> None:
        found = query(connection, {"given": as_json(values)})
        assert sorted(map(repr, values)) == sorted(repr(tuple(row)) for row in found)

    check()


def test_ids_are_a_set(connection: Connection) -> None:
    """That a column can be in."""
    statement = select(literal(2**40).in_(ids_of(connection.dialect.name, "ids")))
    asked = [[2**40, 1], [1, 2], []]
    answers = [bool(connection.execute(statement, {"ids": as_json(ids)}).scalar_one()) for ids in asked]
    assert [True, False, False] == answers


def test_a_query_has_parameters(connection: Connection) -> None:
    """And the rows that a limit leaves."""
    given = rows_of(connection.dialect.name, "given", {"id": BigInteger()})
    query = Query(select(given.c.id).where(given.c.id > bindparam("after")).order_by(given.c.id).limit(2))
    found = query(connection, {"given": as_json([(id,) for id in (5, 3, 1, 4)]), "after": 1})  # noqa: A001
    assert [3, 4] == sorted(row[0] for row in found)
