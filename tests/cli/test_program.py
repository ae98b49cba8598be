"""The command as a process: what it loads, how it is interrupted, what it does when nobody reads."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import click
import pytest

from pidj_async._version import __version__
from pidj_async.cli.app import pidj
from pidj_async.sandbox import Sandbox
from tests.cli.conftest import TOKEN, Run

posix = pytest.mark.skipif(os.name != "posix", reason="Windows has other signals and pipes")

PIDJ = [sys.executable, "-m", "pidj_async"]


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


def start(*arguments: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*PIDJ, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONIOENCODING": "utf-8"} | env,
    )


def test_version() -> None:
    """``python -m pidj_async`` is the command, and knows its version."""
    process = start("--version")
    assert (f"pidj {__version__}\n", "") == process.communicate(timeout=60)
    assert 0 == process.returncode


def test_without_arguments_it_helps(run: Run) -> None:
    """The help goes to standard error, since no command was given."""
    result = run()
    assert (2, "") == (result.exit_code, result.stdout)
    assert result.stderr.startswith("Usage: ")


def test_help_lists_every_command_where_it_belongs(run: Run) -> None:
    """The calls, then campaigns and webhooks, then what is there to be tried out; each command once."""
    text = run("--help").stdout
    titles = ("Calls of the API:", "Campaigns:", "Webhooks and the store:", "To try things out:", "Exit codes:")
    places = [text.index(f"\n{title}\n") for title in titles]
    assert sorted(places) == places
    listed = text[places[0] : places[-1]].splitlines()
    names = [line.split()[0] for line in listed if line.startswith("  ") and line[2:3].strip()]
    assert pidj.list_commands(click.Context(pidj)) == names


def test_help_loads_neither_client_nor_server() -> None:
    """``pidj --help`` is quick because it loads no more than it shows."""
    code = (
        "import sys\nfrom pidj_async.cli.app import pidj\n"
        "try:\n    pidj(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'httpx', 'httpcore', 'anyio', 'rich', 'sqlalchemy', 'starlette', 'uvicorn', 'cattrs', 'asyncio'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = python(code)
    assert ("", "[]") == (result.stderr, result.stdout.splitlines()[-1])


@pytest.mark.parametrize("missing", ["click", "docstring_parser", "rich.console"])
def test_a_missing_extra_is_named(missing: str) -> None:
    """Whoever installed only the client is told what to install, without a traceback."""
    arguments = ["pidj", "--base-url", "http://127.0.0.1:9/", "--help"]
    if missing == "rich.console":
        arguments = ["pidj", "demo"]
    result = python(
        f"import sys; sys.modules[{missing!r}] = None; sys.argv = {arguments!r}\n"
        "from pidj_async.cli import main; main()"
    )
    assert (2, "") == (result.returncode, result.stdout)
    assert f'pidj needs {missing}, which is not installed: pip install "pidj-async[cli]"\n' == result.stderr


def test_another_missing_module_is_a_traceback() -> None:
    """Only what the extra brings is the extra's fault."""
    code = (
        "import sys; sys.modules['pidj_async.cli.calls'] = None; sys.argv = ['pidj']\n"
        "from pidj_async.cli import main; main()"
    )
    assert "ModuleNotFoundError" in python(code).stderr


@posix
@pytest.mark.parametrize("arguments", [("--help",), ("groups", "list"), ("groups", "list", "--json"), ("--version",)])
def test_a_closed_pipe_is_no_news(arguments: tuple[str, ...], sandbox: Sandbox) -> None:
    """``pidj contacts list | head`` says nothing on standard error, and ends as a program killed by SIGPIPE shows."""
    env = {"PIDJ_ACCOUNT_KEY": "key", "PIDJ_TOKEN": TOKEN, "PIDJ_BASE_URL": sandbox.base_url}
    process = start(*arguments, **env)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr:
        assert "" == process.stderr.read()
    assert 141 == process.wait(60)


@posix
@pytest.mark.parametrize("json_flag", [(), ("--json",)])
def test_ctrl_c_says_whether_anything_was_sent(json_flag: tuple[str, ...]) -> None:
    """Interrupted after the request has gone out, the command ends with 130 and says that it may have been acted on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        process = start(
            *("--base-url", url, "--account-key", "key", "--token", TOKEN),
            *("messages", "send", "--to-number", "+12025550123", "--text-body", "Hi", "--group-id", "gr:1"),
            *json_flag,
        )
        connection, _ = listener.accept()
        with connection:
            received = b""
            while not received.endswith(b"gr%3A1"):
                received += connection.recv(4096)
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate(timeout=60)
    assert (130, "") == (process.returncode, stdout)
    assert "interrupted; the request may have been acted on" in stderr
    assert ('"outcome": "unknown"' in stderr) == bool(json_flag)
    assert "Traceback" not in stderr


def test_what_the_terminal_cannot_show_is_no_error() -> None:
    """A letter that the terminal's encoding lacks is shown with its number."""
    process = start("contacts", "get", "--help", PYTHONIOENCODING="latin-1")
    stdout, stderr = process.communicate(timeout=60)
    assert (0, "") == (process.returncode, stderr)
    assert "The contact (co:\\u2026)." in stdout
