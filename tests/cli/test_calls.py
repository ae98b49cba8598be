"""One command per row."""

from __future__ import annotations

import json
import re
from typing import Any

import click
import pytest
from click.testing import CliRunner

from pidj_async._endpoint import Endpoint
from pidj_async.cli.app import pidj
from pidj_async.cli.calls import command_name
from pidj_async.cli.fields import spelled
from pidj_async.cli.settings import ENVIRONMENT
from pidj_async.endpoints import BY_NAME, TABLE
from pidj_async.sandbox import Sandbox
from tests.cli.conftest import Account, Run

ROWS = pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)

GROUP = Sandbox.group_id
NUMBER = "+12025550123"


def words(row: Endpoint[Any]) -> list[str]:
    return [command_name(part) for part in row.name.split(".")]


def arguments(account: Account) -> dict[str, list[str]]:
    """Good arguments for every row."""
    return {
        "messages.send": ["--to-number", NUMBER, "--text-body", "Hi", "--group-id", GROUP],
        "tasks.initiate": ["--channel", "ticket", "--subject", "Help", "--group-id", GROUP],
        "users.get": [account.user],
        "users.create": ["--username", "new", "--password", "pass-w0rd", "--roles", "admin", "--roles", "agent"],
        "users.update": [account.user, "--first-name", "Jo"],
        "users.delete": [account.user],
        "users.recover": [account.deleted_user],
        "users.pause": [account.user],
        "users.unpause": [account.user],
        "sso.create_url": ["--external-id", "7", "--next", "https://example.org/"],
        "contacts.get": [account.contact],
        "contacts.get_by_phone": [NUMBER],
        "contacts.create": ["--phone-number", "+12025550124"],
        "contacts.update": [account.contact, "--first-name", "Joe"],
        "contacts.delete": [account.contact],
        "contacts.send_consent_text": [account.contact, GROUP],
        "contacts.check_consent": [account.contact, GROUP],
        "contacts.list": [],
        "groups.list": [],
        "series.subscribe": [
            Sandbox.series_id,
            "--timezone",
            "America/Denver",
            "--contact-id",
            account.contact,
            "--group-id",
            GROUP,
        ],
        "series.list": [],
        "surveys.initiate": [Sandbox.survey_id, "--to-number", NUMBER, "--group-id", GROUP],
        "surveys.list": [],
        "check_authorization": [],
    }


@ROWS
def test_every_row_is_a_command_that_works(row: Endpoint[Any], run: Run, account: Account) -> None:
    """Each row's command reaches the sandbox and shows a result, with nothing on standard error."""
    result = run(*words(row), *arguments(account)[row.name])
    assert (0, "") == (result.exit_code, result.stderr)
    assert result.stdout.strip()


@ROWS
def test_every_row_prints_one_json_document(row: Endpoint[Any], run: Run, account: Account) -> None:
    """With ``--json`` a result is one document: an array for lists, an object of the model's fields otherwise."""
    result = run(*words(row), *arguments(account)[row.name], "--json")
    assert (0, "") == (result.exit_code, result.stderr)
    document = json.loads(result.stdout)
    assert row.many == isinstance(document, list)
    if not row.many:
        fields = {name for name in row.model.__annotations__ if name != "extra"}
        assert fields <= document.keys()


def test_the_arguments_above_are_complete() -> None:
    """A new row needs good arguments here, so that its command is run."""
    assert set(BY_NAME) == set(arguments(Account("", "", "")))


@ROWS
def test_help_documents_every_field(row: Endpoint[Any]) -> None:
    """``--help`` names every field and says what it is, in the words of the request's docstring."""
    text = " ".join(CliRunner().invoke(pidj, [*words(row), "--help"], terminal_width=200).stdout.split())
    for field in row.fields():
        name = re.escape(spelled(row, field.name))
        assert re.search(rf"{name}\b[^-]*\s[A-Z]", text), name
    for pair in row.request.exactly_one_of:
        assert text.count("Exactly one of {} and {}.".format(*(spelled(row, name) for name in pair))) == 2


@ROWS
def test_help_speaks_the_language_of_the_command_line(row: Endpoint[Any]) -> None:
    """No word of Python, and no markup, is left in a command's help."""
    text = CliRunner().invoke(pidj, [*words(row), "--help"]).stdout
    assert not re.search(r"`|\bNone\b|\bTrue\b|\bUNSET\b", text)


@ROWS
def test_no_field_is_called_like_an_option_of_every_call(row: Endpoint[Any]) -> None:
    """A field named ``json`` or ``token`` would shadow the option."""
    assert not {field.name for field in row.fields()} & {*ENVIRONMENT, "json", "as_json", "clear", "help"}


@ROWS
def test_required_options_are_required(row: Endpoint[Any], run: Run) -> None:
    """Without arguments, a command that needs some exits with 2 and sends nothing."""
    result = run(*words(row))
    needs = any(field.required for field in row.fields()) or bool(row.request.exactly_one_of)
    assert (2 if needs else 0) == result.exit_code


def test_value_clear_and_nothing_are_three_things(run: Run, account: Account) -> None:
    """An option sets a field, ``--clear`` removes it, and what is not mentioned stays."""
    run("contacts", "update", account.contact, "--business-name", "Acme", "--display-name", "JA")
    result = run(
        "contacts", "update", account.contact, "--first-name", "Joe", "--clear", "last-name", "--clear=display-name"
    )
    assert 0 == result.exit_code
    contact = json.loads(run("contacts", "get", account.contact, "--json").stdout)
    seen = {name: contact[name] or None for name in ("first_name", "last_name", "display_name", "business_name")}
    assert {"first_name": "Joe", "last_name": None, "display_name": None, "business_name": "Acme"} == seen


def test_setting_and_clearing_the_same_field_is_refused(run: Run, account: Account) -> None:
    """Nobody can want both."""
    result = run("contacts", "update", account.contact, "--first-name", "Joe", "--clear", "first-name")
    assert 2 == result.exit_code
    assert "--first-name and --clear first-name contradict each other" in result.stderr


def test_what_cannot_be_cleared_is_not_offered(run: Run, account: Account) -> None:
    """A user's password can be changed and not cleared."""
    result = run("users", "update", account.user, "--clear", "password")
    assert 2 == result.exit_code


def test_an_empty_value_is_refused_and_clear_is_named(run: Run, account: Account) -> None:
    """A blank would mean "remove" on the wire, so it is refused with the way out."""
    result = run("contacts", "update", account.contact, "--first-name", "")
    assert 2 == result.exit_code
    assert "--clear clears a field" in result.stderr


def test_repeated_options_are_a_list(run: Run, account: Account) -> None:
    """``--roles`` twice gives two roles."""
    assert 0 == run("users", "update", account.user, "--roles", "admin", "--roles", "manager").exit_code
    user = json.loads(run("users", "get", account.user, "--json").stdout)
    assert ["admin", "manager"] == sorted(user["roles"])


def test_truncate_is_a_flag(run: Run, sandbox: Sandbox) -> None:
    """A text that is too long is refused with the option's name, and cut with it."""
    send = ("messages", "send", "--to-number", NUMBER, "--group-id", GROUP, "--text-body", "x" * 1_700)
    refused = run(*send)
    assert 2 == refused.exit_code
    assert "pass --truncate" in refused.stderr
    assert 0 == run(*send, "--truncate").exit_code
    assert [1_600] == [len(text.text_body) for text in sandbox.texts]


def test_settings_may_stand_before_or_after_and_the_later_wins(run: Run, sandbox: Sandbox) -> None:
    """Options win over the environment, and those after the command over those before it."""
    assert 4 == run("--account-key", "other", "groups", "list").exit_code
    assert 0 == run("--account-key", "other", "groups", "list", "--account-key", "key").exit_code
    nowhere = {"PIDJ_BASE_URL": "http://127.0.0.1:9/", "PIDJ_TOKEN": "", "PIDJ_ACCOUNT_KEY": ""}
    given = ("--base-url", sandbox.base_url, "--account-key", "key", "--token", sandbox.token)
    assert 0 == run(*given, "groups", "list", **nowhere).exit_code


def test_completion_knows_the_commands() -> None:
    """The shell is told the names of commands and of fields' choices."""

    def complete(*typed: str) -> list[str]:
        env = {"_PIDJ_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(typed), "COMP_CWORD": str(len(typed) - 1)}
        return CliRunner().invoke(pidj, [], env=env, prog_name="pidj").stdout.split()

    assert ["plain,contacts"] == complete("pidj", "con")
    assert ["plain,get", "plain,get-by-phone"] == complete("pidj", "contacts", "get")
    assert ["plain,admin", "plain,agent"] == complete("pidj", "users", "create", "--roles", "a")


def test_names_follow_the_client() -> None:
    """``contacts.get_by_phone`` is ``pidj contacts get-by-phone``: the tree of commands is the table."""
    context = click.Context(pidj)
    found = set()
    for name in pidj.list_commands(context):
        command = pidj.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            found |= {f"{name}.{one}" for one in command.list_commands(context)}
        else:
            found.add(name)
    others = {"campaign", "demo", "sandbox", "store", "suppressions", "webhooks", "worker"}
    assert others <= {name.partition(".")[0] for name in found}
    assert {row.name.replace("_", "-") for row in TABLE} == {
        name for name in found if name.partition(".")[0] not in others
    }
