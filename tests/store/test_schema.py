"""The tables of every version become those of this one, and keep what is in them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from sqlalchemy import inspect, text

from pidj_async.store import Store, schema
from pidj_async.store.engine import open_engine
from pidj_async.suppressions import Suppressions

from ..stores import new_schema  # noqa: TID252  tests import one another so

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

pytestmark = pytest.mark.anyio

VERSIONS = range(1, schema.VERSION)


def make(url: str, version: int) -> None:
    """Make the tables as that version made them."""
    engine = open_engine(url)
    script = Path(__file__).with_name(f"version_{version}.{engine.dialect.name}.sql").read_text(encoding="utf-8")
    with engine.begin() as connection:
        for statement in filter(str.strip, script.split(";")):
            connection.exec_driver_sql(statement)
    engine.dispose()


def described(connection: Connection) -> dict[str, object]:
    """All that the database knows of its tables."""
    inspector = inspect(connection)
    found: dict[str, object] = {}
    for name in inspector.get_table_names():
        found[f"columns of {name}"] = [
            (one["name"], str(one["type"]), one["nullable"]) for one in inspector.get_columns(name)
        ]
        found[f"primary key of {name}"] = inspector.get_pk_constraint(name)["constrained_columns"]
        found[f"foreign keys of {name}"] = [
            (one["constrained_columns"], one["referred_table"]) for one in inspector.get_foreign_keys(name)
        ]
        found[f"indexes of {name}"] = {
            str(one["name"]): (one["unique"], one["column_names"], condition_of(one.get("dialect_options", {})))
            for one in inspector.get_indexes(name)
        }
    return found


def condition_of(options: Mapping[Any, Any]) -> str:
    """Which rows a partial index has."""
    conditions = [str(value) for name, value in options.items() if str(name).endswith("_where")]
    return conditions[0].replace("::text", "").replace("(state)", "state").strip("()") if conditions else ""


@pytest.fixture(params=["sqlite", "postgresql"])
def two_urls(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """Two empty databases of a kind."""
    if request.param == "sqlite":
        return [f"sqlite:///{tmp_path / name}.db" for name in ("old", "new")]
    server = request.getfixturevalue("postgresql")
    return [new_schema(server), new_schema(server)]


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_old_store_is_brought_up_to_date(two_urls: list[str], version: int) -> None:
    """Its tables and indexes are those of a new one then."""
    old_url, new_url = two_urls
    make(old_url, version)
    async with Store(old_url) as old, Store(new_url) as new:
        upgraded, fresh = await old.read(described), await new.read(described)
        assert schema.VERSION == await old.read(schema.version_of)
    assert fresh == upgraded
    conditions = {condition for _, _, condition in upgraded["indexes of pidj_recipients"].values()}  # type: ignore[attr-defined]
    assert {"", *(f"state = '{state}'" for state in ("ready", "pending", "sending", "in_doubt"))} == conditions


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_is_in_an_old_store_stays(store_url: str, version: int) -> None:
    """And several processes may find it old at the same time."""
    make(store_url, version)
    insert = text(
        "INSERT INTO pidj_suppressions (phone_number, scope, suppressed, source, changed_at)"
        " VALUES ('+18885553333', '', true, 'manual', 1)"
    )
    engine = open_engine(store_url)
    with engine.begin() as connection:
        connection.execute(insert)
    engine.dispose()
    stores = [Store(store_url) for _ in range(3)]
    async with anyio.create_task_group() as group:
        for store in stores:
            group.start_soon(store.open)
    assert await Suppressions(stores[0]).is_suppressed("+18885553333")
    for store in stores:
        await store.aclose()
