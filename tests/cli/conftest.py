"""A sandbox, an account with somebody in it, and a command to run against them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest
from click.testing import CliRunner, Result

from pidj_async.cli import campaign_options
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


@attrs.frozen
class Campaigns:
    """Campaign commands on a store of their own, with a list of people to text."""

    run_command: Run
    store: str
    folder: Path

    def __call__(self, *arguments: str, input: str | None = None) -> Result:
        """Run ``pidj campaign ...`` on the store."""
        return self.run_command("campaign", *arguments, "--store", self.store, input=input)

    def people(self, *lines: str, heading: str = "phone_number,first_name") -> str:
        """Write a list, and return its path."""
        path = self.folder / "people.csv"
        path.write_text("\n".join((heading, *lines)) + "\n", encoding="utf-8")
        return str(path)

    def send(self, *options: str, to: str, id: str = "spring", text: str = "Hi {first_name}") -> Result:
        """Text a list, whatever the time of day."""
        group = ("--group-id", Sandbox.group_id)
        return self("run", to, "--id", id, "--text", text, *group, "--hours", "any", "--yes", *options)


@pytest.fixture
def campaigns(run: Run, tmp_path: Path) -> Campaigns:
    return Campaigns(run, f"sqlite:///{tmp_path}/campaigns.db", tmp_path)


@pytest.fixture
def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands take for granted that somebody is there to be asked."""
    monkeypatch.setattr(campaign_options, "_somebody_is_there", lambda: True)


JO, ANN, BO = "+12025550101,Jo", "+12025550102,Ann", "+12025550103,Bo"
"""Three people for lists."""
