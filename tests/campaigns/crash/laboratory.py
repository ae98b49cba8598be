"""What the crash tests are made of: the counting server, processes to kill, and the ledger read past the package."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Self

from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from .books import Row

__all__ = ["CountingServer", "Victim", "counting_server", "rows_of", "start_victim"]

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
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

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

    def freeze(self) -> None:
        """Stop it where it stands."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def result(self, timeout: float) -> dict[str, Any]:
        """Wait until it ends by itself, and return what it printed."""
        output, _ = self._process.communicate(timeout=timeout)
        assert self._process.returncode == 0
        result: dict[str, Any] = json.loads(output)
        return result


def start_victim(store_url: str, base_url: str, recipients: Path, *, concurrency: int) -> Victim:
    """Start a process that loads the recipients, if they are not, and sends until it is done."""
    command = [sys.executable, str(HERE / "victim.py"), store_url, base_url, str(recipients), str(concurrency)]
    return Victim(command)


def rows_of(store_url: str) -> dict[str, Row]:
    """Read the ledger with plain SQL."""
    url = make_url(store_url)
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            found = connection.execute(text("SELECT phone_number, state, cause, attempts FROM pidj_recipients"))
            return {number: Row(state, cause, attempts) for number, state, cause, attempts in found}
    finally:
        engine.dispose()
