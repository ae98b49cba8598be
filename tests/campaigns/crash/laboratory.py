"""What the crash tests are made of: the counting server, processes to kill, and the ledger read past the package."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Container, Iterator, Mapping, Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Self

from sqlalchemy import create_engine, text
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import OperationalError

from .books import Row

__all__ = [
    "CountingServer",
    "Victim",
    "counting_server",
    "is_locked",
    "late_settlements",
    "rows_of",
    "start_command",
    "start_victim",
]

HERE = Path(__file__).parent


class CountingServer:
    """The counting server, as seen by the test."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.base_url = f"http://127.0.0.1:{port}/api/2020"

    def _get(self, path: str) -> Any:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", f"/control/{path}")
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def wait(self, texts: int) -> int:
        """Wait until it has so many, or for a few seconds, and tell how many it has."""
        count: int = self._get(f"wait?texts={texts}")["texts"]
        return count

    def log(self) -> dict[str, list[tuple[str, bool]]]:
        """For each number, the fate of each request, and whether it was acted on."""
        log: dict[str, list[list[Any]]] = self._get("log")["log"]
        return {number: [(fate, acted) for fate, acted in requests] for number, requests in log.items()}


@contextlib.contextmanager
def counting_server(plan: Mapping[str, Any]) -> Iterator[CountingServer]:
    """Run the server while the block lasts."""
    command = [sys.executable, str(HERE / "server.py"), json.dumps(plan)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield CountingServer(int(process.stdout.readline()))
        finally:
            process.stdin.close()
            assert process.wait(10) == 0


class Victim:
    """A process that runs the campaign until it is done, or killed."""

    def __init__(self, command: Sequence[str]) -> None:
        credentials = {"PIDJ_ACCOUNT_KEY": "key", "PIDJ_TOKEN": "token"}
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed in __exit__; a pipe unread would fill up
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self._errors, env=os.environ | credentials
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._errors.close()

    @property
    def has_ended(self) -> bool:
        """Whether it is not running any more."""
        return self._process.poll() is not None

    def kill(self) -> bool:
        """SIGKILL it, and tell whether that is what it died of."""
        self._process.kill()
        status = self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        return status == -signal.SIGKILL

    def last_words(self) -> str:
        """What it wrote to standard error, the end of it."""
        self._errors.seek(0)
        return f"status {self._process.returncode}: {self._errors.read().decode()[-2_000:]}"

    def freeze(self) -> None:
        """Stop it where it stands."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def result(self, timeout: float, *, statuses: Container[int] = (0,)) -> dict[str, Any]:
        """Wait until it ends by itself, with one of these exit statuses, and return what it printed."""
        output, _ = self._process.communicate(timeout=timeout)
        assert self._process.returncode in statuses, self.last_words()
        result: dict[str, Any] = json.loads(output)
        return result


def start_victim(
    store_url: str, base_url: str, recipients: Path, *, concurrency: int, lease: float = 30.0, join: bool = False
) -> Victim:
    """Start a process that adds the recipients, or joins a campaign that has them, and sends until it is done."""
    arguments = ["join" if join else "add", store_url, base_url, str(recipients), str(concurrency), str(lease)]
    return Victim([sys.executable, str(HERE / "victim.py"), *arguments])


def start_command(store_url: str, base_url: str, recipients: Path, *, concurrency: int, resume: bool) -> Victim:
    """Start ``pidj campaign run``, as a person would; or ``resume``, which needs a campaign that was made before."""
    if resume:
        arguments = ["resume", "crash", "--concurrency", str(concurrency)]
    else:
        arguments = ["run", str(recipients), "--id", "crash", "--text", "Hi {name}", "--group-id", "gr:1"]
        arguments += ["--hours", "any", "--concurrency", str(concurrency), "--max-in-doubt", "1000000"]
    shared = ["--store", store_url, "--base-url", base_url, "--yes", "--json"]
    return Victim([sys.executable, "-m", "pidj_async", "campaign", *arguments, *shared])


def is_locked(store_url: str) -> bool:
    """Whether somebody is in the middle of writing to the ledger, and stays there."""
    engine = _engine(store_url, timeout=0.2)
    try:
        with engine.connect() as connection:
            # Both are locks that a worker's transaction holds from its first statement to its end.
            if engine.dialect.name == "postgresql":
                connection.execute(text("SET lock_timeout = '200ms'"))
                connection.execute(text("SELECT number FROM pidj_workers FOR UPDATE"))
            else:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            connection.rollback()
    except OperationalError:
        return True
    finally:
        engine.dispose()
    return False


def rows_of(store_url: str) -> dict[str, Row]:
    """Read the ledger with plain SQL."""
    found = _select(store_url, "SELECT phone_number, state, cause, attempts FROM pidj_recipients")
    return {number: Row(state, cause, attempts) for number, state, cause, attempts in found}


def late_settlements(store_url: str) -> list[str]:
    """Read what those said who had been thought dead."""
    found = _select(
        store_url,
        "SELECT phone_number FROM pidj_campaign_log JOIN pidj_recipients ON pidj_recipients.id = recipient"
        " WHERE what = 'late'",
    )
    return [number for (number,) in found]


def _select(store_url: str, query: str) -> Sequence[Sequence[Any]]:
    engine = _engine(store_url)
    try:
        with engine.connect() as connection:
            return connection.execute(text(query)).all()
    finally:
        engine.dispose()


def _engine(store_url: str, timeout: float = 10.0) -> Engine:
    url = make_url(store_url)
    if url.drivername == "postgresql":
        return create_engine(url.set(drivername="postgresql+psycopg"))
    return create_engine(url, connect_args={"timeout": timeout})
