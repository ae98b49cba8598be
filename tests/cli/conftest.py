"""A sandbox, an account with somebody in it, and a command to run against them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs
import pytest
from click.testing import CliRunner, Result

from pidj_async.cli.app import pidj
from pidj_async.sandbox import Sandbox

TOKEN = "t0ken-nobody-may-see"
Run = Callable[..., Result]


@pytest.fixture(scope="package")
def shared_sandbox() -> Iterator[Sandbox]:
    with Sandbox(account_key="key", token=TOKEN) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Sandbox:
    shared_sandbox.reset()
    return shared_sandbox


@pytest.fixture
def run(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line against the sandbox, which the environment names."""
    environment = {"PIDJ_ACCOUNT_KEY": "key", "PIDJ_TOKEN": TOKEN, "PIDJ_BASE_URL": sandbox.base_url}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PIDJ_USER_PASSWORD", raising=False)

    def run(*arguments: str, input: str | None = None, **env: str | None) -> Result:
        return CliRunner().invoke(pidj, list(arguments), input=input, env=env, catch_exceptions=False)

    return run


@attrs.frozen
class Account:
    contact: str
    user: str
    deleted_user: str


@pytest.fixture
def account(run: Run) -> Account:
    """Somebody to text, somebody who works there, and somebody who did."""

    def made(*arguments: str) -> str:
        result = run(*arguments)
        assert result.exit_code == 0, result.stderr
        return next(line.split()[1] for line in result.stdout.splitlines() if line.startswith("id"))

    contact = made("contacts", "create", "--phone-number", "+12025550123", "--first-name", "Jo", "--last-name", "Ann")
    password = ("--password", "pass-w0rd", "--roles", "agent")
    user = made("users", "create", "--username", "here", "--external-id", "7", *password)
    gone = made("users", "create", "--username", "gone", *password)
    assert run("users", "delete", gone).exit_code == 0
    return Account(contact, user, gone)
