"""How a password gets into a command without being seen."""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest

from pidj_async.cli import calls
from pidj_async.requests import CreateUser, UpdateUser
from tests.cli.conftest import Account, Run

CREATE = ("users", "create", "--username", "somebody")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The requests that were made, instead of their being sent."""
    requests: list[Any] = []

    def keep(_: object, request: Any, __: object) -> tuple[()]:
        requests.append(request)
        return ()

    monkeypatch.setattr(calls, "_call", keep)
    return requests


def test_from_standard_input(run: Run, sent: list[Any]) -> None:
    """``--password -`` reads the first line, without its end."""
    result = run(*CREATE, "--password", "-", input="se cret\r\nmore\n")
    assert 0 == result.exit_code
    assert [CreateUser(username="somebody", password="se cret")] == sent
    assert "se cret" not in result.output


def test_standard_input_without_a_line(run: Run, sent: list[Any]) -> None:
    """An empty line is no password."""
    assert 2 == run(*CREATE, "--password", "-", input="\n").exit_code
    assert [] == sent


def test_from_the_environment(run: Run, sent: list[Any]) -> None:
    """A new user's password may be in a variable."""
    assert 0 == run(*CREATE, PIDJ_USER_PASSWORD="from-env").exit_code
    assert ["from-env"] == [request.password for request in sent]


def test_the_environment_changes_nobodys_password(run: Run, sent: list[Any]) -> None:
    """A variable left over in a shell has no say in an update."""
    assert 0 == run("users", "update", "us:1", "--first-name", "Jo", PIDJ_USER_PASSWORD="from-env").exit_code
    assert [UpdateUser("us:1", first_name="Jo")] == sent


def test_missing_without_a_terminal(run: Run, sent: list[Any]) -> None:
    """Nobody can be asked, so the ways to give it are named."""
    result = run(*CREATE, input="not-meant-as-one\n")
    assert 2 == result.exit_code
    assert "--password is missing: set PIDJ_USER_PASSWORD, or pass '--password -'" in result.stderr
    assert [] == sent


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
@pytest.mark.parametrize("asking", [CREATE, ("users", "update", "us:1", "--password", "-")])
def test_at_a_hidden_prompt(asking: tuple[str, ...]) -> None:
    """On a terminal it is asked for twice, and what is typed is not echoed."""
    import pty  # noqa: PLC0415  Windows has none

    code = (
        "import sys; from pidj_async.cli import calls; from pidj_async.cli.app import pidj;"
        "calls._call = lambda row, request, settings: print(len(request.password), request) or (); pidj(sys.argv[1:])"
    )
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-c", code, *asking])  # noqa: S606
    shown = b""
    answered = 0
    while True:
        try:
            piece = os.read(terminal, 1024)
        except OSError:  # Linux says so when the other side has closed
            break
        if not piece:
            break
        shown += piece
        if shown.count(b": ") > answered:
            answered += 1
            os.write(terminal, b"typed-s3cret\n")
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    assert (0, 2) == (os.waitstatus_to_exitcode(status), answered)
    assert b"12 " in shown
    assert b"typed-s3cret" not in shown


def test_given_directly_it_works_and_is_not_shown(run: Run, account: Account) -> None:
    """It is allowed, and the help says who can see it."""
    result = run("users", "update", account.user, "--password", "an0ther-one")
    assert 0 == result.exit_code
    assert "an0ther-one" not in result.output
    assert "visible to everybody on this machine" in " ".join(run("users", "update", "--help").stdout.split())
