"""The command as a process: what it loads, how it is interrupted, what it does when nobody reads."""

from __future__ import annotations

import json
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
@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("groups", "list"),
        ("groups", "list", "--json"),
        ("contacts", "list", "--json"),
        ("contacts", "list"),
        ("--version",),
    ],
)
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


class Half:
    """A server that sends half of a list of contacts, and the rest when it is asked to."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        contacts = [{"id": f"co:{number}", "phone_number": "+12025550123"} for number in range(2_000)]
        body = json.dumps({"status": "success", "contacts": contacts}).encode()
        self._body = body
        self._half = len(body) // 2

    def begin(self) -> socket.socket:
        connection, _ = self._listener.accept()
        while not connection.recv(65_536).endswith(b"\r\n\r\n"):
            pass
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(self._body)}\r\n\r\n"
        connection.sendall(head.encode() + self._body[: self._half])
        return connection

    def end(self, connection: socket.socket) -> None:
        connection.sendall(self._body[self._half :])


def list_contacts(listener: socket.socket, *more: str) -> subprocess.Popen[str]:
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    return start("--base-url", url, "--account-key", "key", "--token", TOKEN, "contacts", "list", *more)


def test_contacts_are_written_while_they_arrive() -> None:
    """The first contacts are on standard output before the server has sent the last ones; all of it is one document."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Half(listener)
        process = list_contacts(listener, "--json")
        assert process.stdout is not None
        assert process.stderr is not None
        with server.begin() as connection, process.stdout as stdout, process.stderr as stderr:
            first = stdout.readline()
            server.end(connection)
            written = first + stdout.read()
            assert "" == stderr.read()
    assert 0 == process.wait(60)
    assert [f"co:{number}" for number in range(2_000)] == [one["id"] for one in json.loads(written)]


def test_a_list_that_is_cut_off_is_no_document() -> None:
    """If the reply ends too early, what was written is no JSON, and the exit code says that there was an error."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = list_contacts(listener, "--json")
        Half(listener).begin().close()
        stdout, stderr = process.communicate(timeout=60)
    assert 7 == process.returncode
    assert stdout.startswith("[\n")
    with pytest.raises(json.JSONDecodeError):
        json.loads(stdout)
    assert "OutcomeUnknownError" == json.loads(stderr)["error"]["type"]


def test_ctrl_c_ends_a_list() -> None:
    """Interrupted while contacts arrive, the command ends with 130, and says nothing of what may have been done."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = list_contacts(listener)
        with Half(listener).begin():
            process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate(timeout=60)
    assert (130, "", "pidj: interrupted") == (process.returncode, stdout, stderr.strip())


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
