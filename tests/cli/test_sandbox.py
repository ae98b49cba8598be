"""``pidj sandbox``."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from pidj_async.cli.sandbox import CONTROLS
from tests.cli.conftest import TOKEN, Run
from tests.cli.test_program import posix, start

NO_CREDENTIALS = {"PIDJ_ACCOUNT_KEY": "", "PIDJ_TOKEN": ""}


def json_document(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if line == "}\n":
            break
    return json.loads(text)


@contextmanager
def running(*arguments: str, **env: str) -> Generator[subprocess.Popen[str]]:
    process = start("sandbox", "--port", "0", *arguments, **(NO_CREDENTIALS | env))
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=60)


@posix
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_stop(ending: signal.Signals) -> None:
    """It says how to reach it, answers with those credentials, and ends with 0 and without a word of regret."""
    with running("--json") as process:
        told = json_document(process)
        credentials = (told["account_key"], told["token"])
        assert ("sandbox", "sandbox") == credentials
        reply = httpx.get(told["base_url"] + "/groups", auth=credentials)
        assert [one["group_id"] for one in told["groups"]] == [one["group_id"] for one in reply.json()["groups"]]
        for name in ("series", "surveys"):
            reply = httpx.get(f"{told['base_url']}/{name}", auth=credentials)
            assert [one["name"] for one in told[name]] == [one["name"] for one in reply.json()[name]]
        process.send_signal(ending)
        _, stderr = process.communicate(timeout=60)
    assert 0 == process.returncode
    assert "groups.list: HTTP 200" in stderr
    assert "Traceback" not in stderr


def test_the_controls_it_names_are_those_it_has() -> None:
    """Each control that is listed takes exactly what it says, or at least what is required of it."""
    with running("--json", "--quiet") as process:
        url = json_document(process)["url"]
        for verb, name, takes, _ in CONTROLS:
            reply = httpx.request(
                verb, f"{url}/_sandbox/{name}", content=b'{"nonsense": 1}' if verb == "POST" else None
            )
            if verb == "GET":
                assert 200 == reply.status_code
            else:
                assert 400 == reply.status_code
                said = re.search(r"a JSON object of (.+?)(?:;|$)", reply.json()["error"])
                assert takes == (said.group(1) if said else "")


@posix
@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples need curl")
def test_its_examples_work() -> None:
    """What it prints under "Try" can be pasted into a shell."""
    with running("--quiet") as process:
        assert process.stdout is not None
        text = ""
        for line in process.stdout:
            text += line
            if "/_sandbox/receive-text" in line and line.startswith("  curl"):
                break
        examples = text.partition("Try\n")[2].replace("\\\n", "").strip().splitlines()
        assert 2 == len(examples)
        replies = [
            subprocess.run(
                ["/bin/sh", "-c", example.replace("curl ", "curl --silent --max-time 30 ", 1)],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for example in examples
        ]
    assert "success" == json.loads(replies[0])["status"]
    assert {"events": ["text-received", "opt-out"]} == json.loads(replies[1])


@pytest.mark.parametrize("json_flag", [(), ("--json",)])
def test_credentials_of_ones_own_are_taken_and_not_shown(json_flag: tuple[str, ...]) -> None:
    """With PIDJ_TOKEN set, it accepts that token and does not print it; nor the secret in a webhook's URL."""
    webhooks = ("--webhook-url", f"http://pidj:{TOKEN}@127.0.0.1:9/{TOKEN}?secret={TOKEN}")
    with running(*json_flag, *webhooks, PIDJ_ACCOUNT_KEY="key", PIDJ_TOKEN=TOKEN) as process:
        assert process.stdout is not None
        shown = ""
        for line in process.stdout:
            shown += line
            if line in {"}\n", "\n"} and "base" in shown:
                break
        found = re.search(r"http://127.0.0.1:\d+/api/2020", shown)
        assert found is not None
        reply = httpx.get(found.group() + "/authorization-check", auth=("key", TOKEN))
        process.terminate()
        rest = "".join(process.communicate(timeout=60))
    assert 200 == reply.status_code
    assert TOKEN not in shown + rest
    assert ("yours, from PIDJ_TOKEN" in shown) == (not json_flag)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("sandbox", "--host", "0.0.0.0"), "this machine only"),  # noqa: S104
        (("sandbox", "--webhook-url", "nowhere"), "absolute http or https URL"),
        (("sandbox", "--port", "70000"), "70000 is not in the range"),
        (("--base-url", "http://127.0.0.1:9/", "sandbox"), "--base-url is for calls"),
    ],
)
def test_what_cannot_work_is_refused(arguments: tuple[str, ...], said: str, run: Run) -> None:
    """Wrong settings end with 2, and say what is wrong."""
    result = run(*arguments)
    assert 2 == result.exit_code
    assert said in result.stderr


def test_a_port_in_use_is_named(run: Run, sandbox: Any) -> None:
    """The port that another program listens on cannot be had."""
    result = run("sandbox", "--port", str(sandbox.port))
    assert 2 == result.exit_code
    assert f"cannot listen on 127.0.0.1, port {sandbox.port}: " in result.stderr
