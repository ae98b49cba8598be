"""``pidj suppressions`` and ``pidj store``."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from pidj_async.store import schema
from tests.cli.conftest import Run
from tests.stores import new_schema

NUMBER = "+18885553333"
GROUP = "gr:7c0a4f7e-6a0f-5b8e-8a5d-64e0f1c9b312"
Call = Callable[..., Result]


@pytest.fixture
def call(run: Run, store_url: str) -> Call:
    def call(*arguments: str, input: str | None = None) -> Result:
        return run(*arguments, "--store", store_url, input=input)

    return call


def test_who_is_added_is_listed_and_who_is_removed_is_not(call: Call) -> None:
    """On both kinds of store; lifted ones are shown when asked for."""
    assert 0 == call("suppressions", "add", NUMBER, "--source", "letter").exit_code
    assert 0 == call("suppressions", "add", "+18885554444", "--group-id", GROUP).exit_code
    found = json.loads(call("suppressions", "list", "--json", "--unmask").stdout)
    assert [(NUMBER, None, True, "letter"), ("+18885554444", GROUP, True, "manual")] == [
        (one["phone_number"], one["group_id"], one["suppressed"], one["source"]) for one in found
    ]
    assert 0 == call("suppressions", "remove", NUMBER).exit_code
    assert 1 == len(json.loads(call("suppressions", "list", "--json").stdout))
    assert 2 == len(json.loads(call("suppressions", "list", "--json", "--lifted").stdout))
    assert [GROUP] == [
        one["group_id"] for one in json.loads(call("suppressions", "list", "--json", "--group-id", GROUP).stdout)
    ]


def test_lists_are_masked_unless_asked_for(call: Call) -> None:
    """A list of numbers is not for everybody who looks over a shoulder."""
    call("suppressions", "add", NUMBER)
    for command in (("list",), ("show", NUMBER)):
        assert NUMBER not in call("suppressions", *command).stdout
        assert "+188******33" in call("suppressions", *command, "--json").stdout
        assert NUMBER in call("suppressions", *command, "--unmask").stdout
    assert "Nobody.\n" == call("suppressions", "show", "+18885550000").stdout


def test_a_number_that_is_none_is_refused(call: Call) -> None:
    """The error masks it."""
    result = call("suppressions", "add", "8885553333")
    assert 2 == result.exit_code
    assert "8885553333" not in result.stderr


def test_what_is_exported_can_be_imported(call: Call, run: Run, tmp_path: Path) -> None:
    """A file goes from one store to the next; importing it again changes nothing."""
    call("suppressions", "add", NUMBER, "--source", "letter")
    call("suppressions", "add", "+18885554444", "--group-id", GROUP)
    file = str(tmp_path / "list.csv")
    exported = call("suppressions", "export", file)
    assert (0, "", "2 exported.\n") == (exported.exit_code, exported.stdout, exported.stderr)
    other = ("--store", f"sqlite:///{tmp_path}/other.db")
    done = run("suppressions", "import", file, *other, "--json")
    assert {"added": 2, "unchanged": 0, "rejected": []} == json.loads(done.stdout)
    assert "0 added, 2 were on the list already.\n" == run("suppressions", "import", file, *other).stdout
    assert run("suppressions", "export", "-", *other).stdout.splitlines()[1].startswith(f"{NUMBER},,letter,")


def test_lines_that_cannot_be_read_are_told_and_the_code_is_2(call: Call) -> None:
    """The others are on the list; the text of the lines is masked."""
    lines = f"\ufeffphone_number,group_id\n{NUMBER},\n12345678901234567890,\n(888) 555-4444,{GROUP}\n+18885550000,?\n"
    result = call("suppressions", "import", "-", input=lines)
    assert (2, "2 added, 0 were on the list already.\n") == (result.exit_code, result.stdout)
    told = result.stderr.splitlines()
    assert 3 == len(told)
    assert told[0].startswith("line 3 was left out: phone_number: ")
    assert told[1].startswith("line 5 was left out: group_id: ")
    assert "12345678901234567890" not in result.stderr
    assert 2 == len(json.loads(call("suppressions", "list", "--json").stdout))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"number\n1\n", "heading with phone_number"),
        (b"phone_number\n\xff\n", "is no CSV in UTF-8"),
        (None, "No such file"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(content: bytes | None, said: str, call: Call, tmp_path: Path) -> None:
    """With 2, and words for what is wrong with it."""
    file = tmp_path / "list.csv"
    if content is not None:
        file.write_bytes(content)
    result = call("suppressions", "import", str(file))
    assert 2 == result.exit_code
    assert said in result.stderr


def test_a_spreadsheets_byte_order_mark_is_no_part_of_the_heading(call: Call, tmp_path: Path) -> None:
    """As spreadsheets write it."""
    file = tmp_path / "list.csv"
    file.write_bytes(f"\ufeffphone_number\r\n{NUMBER}\r\n".encode())
    assert "1 added" in call("suppressions", "import", str(file)).stdout


def test_csv_and_json_do_not_share_standard_output(call: Call, tmp_path: Path) -> None:
    """Into a file both are possible."""
    call("suppressions", "add", NUMBER)
    assert 2 == call("suppressions", "export", "-", "--json").exit_code
    assert {"exported": 1} == json.loads(call("suppressions", "export", str(tmp_path / "x.csv"), "--json").stdout)


# --- store --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["init", "upgrade"])
def test_a_store_is_made_once_and_checked(command: str, call: Call) -> None:
    """Making it twice does no harm, and what is in it stays."""
    assert 0 == call("store", command).exit_code
    call("suppressions", "add", NUMBER)
    made = json.loads(call("store", command, "--json").stdout)
    checked = json.loads(call("store", "check", "--json").stdout)
    assert made | {"events": {}, "suppressed": 1} == checked
    assert schema.VERSION == checked["version"]


def test_check_makes_nothing(run: Run, tmp_path: Path) -> None:
    """A store that is not there stays away."""
    assert 2 == run("store", "check", "--store", f"sqlite:///{tmp_path}/x.db").exit_code
    assert [] == list(tmp_path.iterdir())


def test_check_refuses_tables_of_another_version(run: Run, tmp_path: Path) -> None:
    """And says what to do."""
    url = f"sqlite:///{tmp_path}/x.db"
    run("store", "init", "--store", url)
    with sqlite3.connect(tmp_path / "x.db") as connection:
        connection.execute("UPDATE pidj_meta SET value = '999' WHERE name = 'schema'")
    connection.close()
    for command, said in (("check", "pidj store upgrade"), ("upgrade", "upgrade pidj-async")):
        result = run("store", command, "--store", url)
        assert 2 == result.exit_code
        assert said in result.stderr


def test_check_finds_damage(run: Run, tmp_path: Path) -> None:
    """A file that was overwritten in its middle is told, with 10."""
    url = f"sqlite:///{tmp_path}/x.db"
    run("store", "init", "--store", url)
    file = tmp_path / "x.db"
    with sqlite3.connect(file) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'pidj_shapes'").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with file.open("r+b") as opened:
        opened.seek((page - 1) * size)
        opened.write(b"x" * size)
    result = run("store", "check", "--store", url)
    assert (10, "") == (result.exit_code, result.stdout)
    assert "the store" in result.stderr


def test_check_finds_what_must_not_be_in_it(run: Run, tmp_path: Path) -> None:
    """Also what can be read and is wrong all the same, in the database's own words."""
    url = f"sqlite:///{tmp_path}/x.db"
    run("suppressions", "add", NUMBER, "--store", url)
    with sqlite3.connect(tmp_path / "x.db") as connection:
        connection.execute("PRAGMA writable_schema = ON")
        change = "UPDATE sqlite_master SET sql = replace(sql, 'event_id BIGINT', 'event_id BIGINT NOT NULL')"
        connection.execute(f"{change} WHERE name = 'pidj_suppressions'")
    connection.close()
    result = run("store", "check", "--store", url)
    assert 10 == result.exit_code
    assert "pidj: the store is damaged: NULL value in pidj_suppressions.event_id\n" == result.stderr


def test_a_files_name_may_come_from_the_environment(run: Run, tmp_path: Path) -> None:
    """PIDJ_STORE is what ``--store`` would say."""
    url = f"sqlite:///{tmp_path}/x.db"
    assert {"store": url, "version": schema.VERSION} == json.loads(
        run("store", "init", "--json", PIDJ_STORE=url).stdout
    )


# --- store copy ---------------------------------------------------------------------------------------------------


def test_a_store_moves_to_a_server_and_back(
    call: Call, run: Run, store_url: str, postgresql: str, tmp_path: Path
) -> None:
    """What was on the list is on it there, and the tables are made on the way; the count of each is told."""
    call("suppressions", "add", NUMBER)
    server, file = new_schema(postgresql), f"sqlite:///{tmp_path}/back.db"
    done = json.loads(run("store", "copy", store_url, server, "--json").stdout)
    assert (1, 0) == (done["copied"]["suppressions"], done["copied"]["recipients"])
    result = run("store", "copy", server, file)
    assert (0, "") == (result.exit_code, result.stderr)
    assert f"{file} has everything now that " in result.stdout
    found = json.loads(run("suppressions", "list", "--json", "--unmask", "--store", file).stdout)
    assert [NUMBER] == [one["phone_number"] for one in found]


def test_a_store_is_copied_into_an_empty_one_only(call: Call, run: Run, store_url: str, tmp_path: Path) -> None:
    """Otherwise it ends with 2; a source that is not there is not made."""
    call("suppressions", "add", NUMBER)
    target = f"sqlite:///{tmp_path}/target.db"
    run("suppressions", "add", NUMBER, "--store", target)
    for source, said in (
        (store_url, "the target is not empty"),
        (f"sqlite:///{tmp_path}/x.db", "there is no store at"),
    ):
        result = run("store", "copy", source, target)
        assert 2 == result.exit_code
        assert said in result.stderr
    assert not (tmp_path / "x.db").exists()


def test_the_password_of_neither_store_is_shown(run: Run, tmp_path: Path) -> None:
    """Not in the error either."""
    url = "postgresql://shop:hunter2hunter2@127.0.0.1:9/shop"
    run("store", "init", "--store", f"sqlite:///{tmp_path}/a.db")
    for stores in ((url, f"sqlite:///{tmp_path}/b.db"), (f"sqlite:///{tmp_path}/a.db", url)):
        result = run("store", "copy", *stores)
        assert (10, "") == (result.exit_code, result.stdout)
        assert "hunter2" not in result.stderr
