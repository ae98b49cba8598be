"""What the documentation says is so. Its Python examples are tests of their own: see conftest.py beside README.md."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import endpoint_table
import pytest
from click.testing import CliRunner
from docstring_parser import parse

from pidj_async._endpoint import Endpoint
from pidj_async.cli.app import pidj
from pidj_async.endpoints import TABLE

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

FENCE = re.compile(r"^```(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


def fences(language: str) -> list[str]:
    return [body for path in DOCUMENTS for kind, body in FENCE.findall(path.read_text()) if kind == language]


def commands() -> list[str]:
    return sorted({line for body in fences("console") for line in body.splitlines() if line.startswith("pidj ")})


@pytest.mark.parametrize("line", commands())
def test_every_command_line_shown_is_one_that_pidj_takes(line: str) -> None:
    """A ``pidj`` line of the documentation names a command and options that exist."""
    arguments = shlex.split(line)[1:]
    result = CliRunner().invoke(pidj, [*arguments, "--help"])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_fence_says_what_it_holds(path: Path) -> None:
    """A block is Python, which is run; a console's, which is checked; a directive; or plain, without a language."""
    kinds = {kind for kind, _ in FENCE.findall(path.read_text())}
    assert {kind for kind in kinds if kind not in {"", "python", "console"} and not kind.startswith("{")} == set()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_to_a_file_leads_to_one(path: Path) -> None:
    """A relative link of a document leads to a file of this repository."""
    targets = [target for target in LINK.findall(path.read_text()) if "://" not in target]
    assert [target for target in targets if not (path.parent / target).exists()] == []


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_every_argument_is_explained(row: Endpoint[Any]) -> None:
    """A request's docstring says what it does, and explains its arguments, all of them, in their order."""
    said = parse(row.request.__doc__ or "")
    assert said.short_description
    assert [field.name for field in row.fields()] == [param.arg_name for param in said.params if param.description]


def test_the_reference_has_every_call() -> None:
    """The reference lists each row of the table once, and explains each once."""
    names = [f"pidj.{row.name}" for row in TABLE]
    listed = re.findall(r"^\| \[`([\w.]+)`]", "\n".join(endpoint_table.overview()), re.MULTILINE)
    explained = re.findall(r"^### `([\w.]+)`$", "\n".join(endpoint_table.details()), re.MULTILINE)
    assert names == listed
    assert sorted(names) == sorted(explained)


def test_the_readme_has_two_commands_to_begin_with() -> None:
    """The README sets everything up in two lines: one runs the demonstration, the other the tests."""
    lines = [line for body in FENCE.findall((ROOT / "README.md").read_text()) for line in body[1].splitlines()]
    ends = [line.rpartition(" && ")[2] for line in lines if line.startswith("python3 -m venv .venv && ")]
    assert ends == [".venv/bin/pidj demo", ".venv/bin/pytest"]
