"""Many rows in and out of one statement.

SQLite's driver lets go of Python's lock for every statement and for every row that it fetches, and gets it back only
when a busy event loop is made to yield it, which takes up to 5 ms. So a list goes into a statement as one JSON text and
comes out of it as one. On PostgreSQL, where each statement is a way to the server and back, lists go in the same way;
rows come out as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import JSON, BigInteger, bindparam, cast, func, literal_column, select

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Select, Subquery
    from sqlalchemy.types import TypeEngine

__all__ = ["Query", "as_json", "ids_of", "rows_of"]

_POSTGRESQL: Final = "postgresql"


def as_json(values: Sequence[object]) -> str:
    """Write a list for `rows_of` (a list of lists) or `ids_of` (a list of integers)."""
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def rows_of(dialect: str, parameter: str, columns: Mapping[str, TypeEngine[Any]]) -> Subquery:
    """Make a table of a list, for use in one statement.

    Args:
        dialect: The database's name.
        parameter: The name of the statement's parameter that is given the list, by `as_json`; also the table's name.
        columns: Names and types, in the order in which the list has them.
    """
    if dialect == _POSTGRESQL:
        value = func.json_array_elements(cast(bindparam(parameter), JSON)).table_valued("value").c.value
        cells: Sequence[ColumnElement[Any]] = [
            cast(value.op("->>")(index), kind) for index, kind in enumerate(columns.values())
        ]
    else:
        value = func.json_each(bindparam(parameter)).table_valued("value").c.value
        cells = [
            func.json_extract(value, literal_column(f"'$[{index}]'"), type_=kind)
            for index, kind in enumerate(columns.values())
        ]
    return select(*(cell.label(name) for cell, name in zip(cells, columns, strict=True))).subquery(parameter)


def ids_of(dialect: str, parameter: str) -> Select[Any]:
    """Make a set of a list of integers, for ``column.in_(...)``.

    Args:
        dialect: The database's name.
        parameter: The name of the statement's parameter that is given the list, by `as_json`.
    """
    if dialect == _POSTGRESQL:
        text = func.json_array_elements_text(cast(bindparam(parameter), JSON)).table_valued("value").c.value
        return select(cast(text, BigInteger))
    return select(func.json_each(bindparam(parameter)).table_valued("value").c.value)


class Query:
    """A query whose rows come out together. They may hold numbers, texts and ``NULL``.

    Args:
        query: Each column has a name of its own.
    """

    def __init__(self, query: Select[*tuple[Any, ...]]) -> None:
        self._query = query
        rows = query.subquery("rows")
        self._packed = select(func.json_group_array(func.json_array(*rows.c))).select_from(rows)

    def __call__(self, connection: Connection, parameters: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        """Run it.

        Args:
            connection: In a transaction.
            parameters: The query's.

        Returns:
            The rows, in no order that can be relied upon.
        """
        if connection.dialect.name == _POSTGRESQL:
            return connection.execute(self._query, parameters).all()
        found: list[list[Any]] = json.loads(connection.execute(self._packed, parameters).scalar_one())
        return found
