"""How a command ends, and what it does not tell."""

from __future__ import annotations

import json
from typing import Any

import click
import pytest

from pidj_async import errors
from pidj_async.cli import calls, exits
from pidj_async.sandbox import Sandbox
from tests.cli.conftest import TOKEN, Run

SEND = ("messages", "send", "--to-number", "+12025550123", "--text-body", "Hi", "--group-id", Sandbox.group_id)


def api(kind: type[errors.APIError], status: int) -> errors.APIError:
    return kind("summary", status_code=status)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidRequestError("to_number", "is wrong"), 2),
        (errors.ConfigurationError("set up wrongly"), 2),
        (api(errors.RefusedError, 422), 3),
        (api(errors.APIError, 499), 3),
        (api(errors.AuthenticationError, 401), 4),
        (api(errors.PermissionDeniedError, 403), 4),
        (api(errors.NotFoundError, 404), 5),
        (errors.NotSentError("refused"), 6),
        (errors.OutcomeUnknownError("lost"), 7),
        (api(errors.ServerError, 503), 7),
        (api(errors.RateLimitError, 429), 8),
        (errors.ResponseError("HTML", status_code=200), 9),
        (errors.StoreError("the disk is full"), 10),
        (exits.NothingFoundError("no event 7"), 5),
    ],
)
def test_every_kind_of_error_has_its_code(error: errors.PidjError, code: int) -> None:
    """A script can tell from the code alone what to do next."""
    assert code == exits.exit_code_of(error)
    assert code == exits.report_of(error)["exit_code"]


def test_every_code_is_in_the_help(run: Run) -> None:
    """``pidj --help`` documents each of them once."""
    codes = [each.code for each in exits.EXIT_CODES]
    assert len(set(codes)) == len(codes)
    text = run("--help").stdout
    for each in exits.EXIT_CODES:
        assert f"\n  {each.code:<3}  {each.meaning}\n" in text


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"status": 422}, (3, "RefusedError", "not_sent")),
        ({"status": 200}, (3, "RefusedError", "not_sent")),
        ({"status": 403}, (4, "PermissionDeniedError", "not_sent")),
        ({"status": 404}, (5, "NotFoundError", "not_sent")),
        ({"status": 500}, (7, "ServerError", "unknown")),
        ({"drop": True}, (7, "OutcomeUnknownError", "unknown")),
    ],
)
def test_a_failed_send_says_what_became_of_it(
    fault: dict[str, Any], expected: tuple[int, str, str], run: Run, sandbox: Sandbox
) -> None:
    """The code, and with ``--json`` one object on standard error; nothing on standard output."""
    sandbox.fail_next("messages.send", **fault)
    plain = run(*SEND)
    assert (expected[0], "") == (plain.exit_code, plain.stdout)
    assert plain.stderr.startswith("pidj: messages.send: ")
    sandbox.fail_next("messages.send", **fault)
    result = run(*SEND, "--json")
    assert (expected[0], "") == (result.exit_code, result.stdout)
    error = json.loads(result.stderr)["error"]
    assert expected == (error["exit_code"], error["type"], error["outcome"])
    assert 1 == error["attempts"]


def test_an_invalid_value_names_the_option_and_masks_the_number(run: Run, sandbox: Sandbox) -> None:
    """The error speaks of what was typed; a program gets the field's own name."""
    arguments = [*SEND, "--from-number", "2025550177"]
    plain = run(*arguments)
    assert (2, "") == (plain.exit_code, plain.stdout)
    assert plain.stderr.startswith("pidj: --from-number: must be in E.164 format")
    assert "2025550177" not in plain.stderr
    error = json.loads(run("--json", *arguments).stderr)["error"]
    assert ("from_number", "messages.send", "not_sent") == (error["field"], error["endpoint"], error["outcome"])
    assert [] == sandbox.texts


def test_exactly_one_of_two_is_said_in_options(run: Run) -> None:
    """The error of the request class is told in the words of the command."""
    result = run("messages", "send", "--to-number", "+12025550123", "--text-body", "Hi")
    assert 2 == result.exit_code
    assert "give exactly one of --from-number and --group-id; got neither" in result.stderr


@pytest.mark.parametrize("missing", ["PIDJ_TOKEN", "PIDJ_ACCOUNT_KEY"])
def test_missing_credentials_are_named(missing: str, run: Run) -> None:
    """The error says which is missing and both ways to give it."""
    result = run("groups", "list", **{missing: ""})
    assert 2 == result.exit_code
    option = "--" + missing.removeprefix("PIDJ_").lower().replace("_", "-")
    assert f"set {missing} in the environment, or pass {option}" in result.stderr


def test_a_usage_error_is_json_too(run: Run) -> None:
    """Also when parsing fails before ``--json`` is reached."""
    result = run("contacts", "get", "--nonsense", "--json")
    assert (2, "") == (result.exit_code, result.stdout)
    assert "UsageError" == json.loads(result.stderr)["error"]["type"]


def test_a_usage_error_masks_numbers(run: Run) -> None:
    """A number in the wrong place is still somebody's."""
    result = run("contacts", "get-by-phone", "+12025550123", "+12025550199")
    assert 2 == result.exit_code
    assert "+12025550199" not in result.stderr


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize("json_flag", [(), ("--json",)])
@pytest.mark.parametrize(
    "arguments",
    [
        ("groups", "list"),
        ("--token", TOKEN, "groups", "nonsense"),
        (f"--token={TOKEN}", TOKEN),
        ("groups", "list", TOKEN),
        ("--help",),
        ("groups", "list", "--help"),
        ("contacts", "get", TOKEN),
        ("--base-url", f"http://{TOKEN}@127.0.0.1:1/", "groups", "list"),
        ("--base-url", f"http://x:{TOKEN}@example.org/", "groups", "list"),
        ("users", "create", "--username", "u", "--password", "pass-w0rd", "--phone-number", "1"),
        ("users", "create", "--username", "here", "--password", "pass-w0rd"),
        ("users", "create", "--username", "u", "--password", "pass-w0rd", "pass-w0rd"),
    ],
)
def test_no_secret_is_ever_shown(
    arguments: tuple[str, ...], json_flag: tuple[str, ...], run: Run, sandbox: Sandbox
) -> None:
    """Neither token nor password: not in results, in help, in usage errors or in Pidj's refusals."""
    sandbox.fail_next("groups.list", status=422)
    result = run(*arguments, *json_flag)
    assert not any(secret in result.output for secret in (TOKEN, "pass-w0rd"))


@pytest.mark.parametrize("json_flag", [(), ("--json",)])
def test_a_bug_of_ours_does_not_tell_secrets_either(
    json_flag: tuple[str, ...], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unexpected exception ends with 1 and its traceback, secrets taken out."""

    def broken(*_: object) -> None:
        msg = f"cannot work with {TOKEN}"
        raise ZeroDivisionError(msg)

    monkeypatch.setattr(calls, "_call", broken)
    result = run("groups", "list", *json_flag)
    assert 1 == result.exit_code
    assert "ZeroDivisionError: cannot work with [redacted]" in result.stderr
    assert TOKEN not in result.output


def test_a_vendors_message_is_masked_in_the_report() -> None:
    """What Pidj quotes of a request is masked there as well."""
    error = errors.RefusedError("summary", status_code=422, message="+12025550123 has opted out.")
    assert "+120******23 has opted out." == exits.report_of(error)["vendor_message"]


@pytest.mark.parametrize("json_flag", [(), ("--json",)])
@pytest.mark.parametrize(
    ("raised", "said"),
    [(KeyboardInterrupt, "interrupted; nothing was sent"), (click.Abort, "interrupted")],
)
def test_interrupted_before_anything_was_sent(
    raised: type[BaseException], said: str, json_flag: tuple[str, ...], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends with 130, and says that nothing was sent if there was anything to send."""

    def interrupted(*_: object) -> None:
        raise raised

    monkeypatch.setattr("anyio.run", interrupted)
    result = run(*SEND, *json_flag)
    assert (130, "") == (result.exit_code, result.stdout)
    if json_flag:
        error = json.loads(result.stderr)["error"]
        assert ("Interrupted", said, 130) == (error["type"], error["message"], error["exit_code"])
        assert ("not_sent" if raised is KeyboardInterrupt else None) == error.get("outcome")
    else:
        assert f"pidj: {said}\n" == result.stderr
