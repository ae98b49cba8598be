"""``python -m benchmarks ingest``: what it costs to store a webhook before it is acknowledged."""

from __future__ import annotations

import json
import platform
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, Final

import attrs

from benchmarks._host import cores, durable_commit, raise_file_limit
from benchmarks.ingest_load import TIME_LIMIT, Load, Wave
from benchmarks.ingest_server import BARE, HANDLING, SERVERS, STORING

__all__ = ["IngestFigures", "IngestOptions", "Ingested", "LostEventsError", "measure_ingest", "report_ingest"]

ROOT: Final = Path(__file__).parent.parent

TARGET_RATIO: Final = 0.6
TARGET_P99: Final = 50.0
"""Milliseconds."""

_STOP_LIMIT: Final = 60


@attrs.frozen(kw_only=True)
class IngestOptions:
    """What to measure; see ``python -m benchmarks --help``."""

    connections: int = 64
    rate: float = 300.0
    seconds: float = 3.0
    rounds: int = 5
    distinct_heads: bool = False


@attrs.frozen(kw_only=True)
class Ingested:
    """One run: a fresh server on a fresh store, posted to at a pace, then as fast as it goes.

    Attributes:
        server: Which of `SERVERS`.
        round: Of those that it had.
        paced: What came of so many posts a second.
        saturated: What came of as many as go.
        server_cpu_seconds: The server's CPU during the latter, its warm-up included.
        handled: The part of all events that had been handled when the last was acknowledged; 0 without a worker.
    """

    server: str
    round: int
    paced: Wave
    saturated: Wave
    server_cpu_seconds: float
    handled: float

    @property
    def rate(self) -> float:
        """Posts acknowledged per second."""
        return self.saturated.posts / self.saturated.seconds

    @property
    def cpu(self) -> float:
        """The server's CPU per post, in microseconds, whatever the worker did meanwhile included."""
        return self.server_cpu_seconds / (self.saturated.posts + self.saturated.warm_up) * 1e6


@attrs.frozen(kw_only=True)
class IngestFigures:
    """Everything that was measured.

    Attributes:
        runs: In the order in which they ran.
        commit: How long one commit of one small row takes where the stores are, in milliseconds: the median.
    """

    runs: tuple[Ingested, ...]
    commit: float


class LostEventsError(RuntimeError):
    """A server has not stored what it acknowledged: its figures mean nothing."""


def measure_ingest(options: IngestOptions) -> IngestFigures:
    """Run every server, in turns: A B C, A B C, so that a slow minute of the machine is everybody's."""
    raise_file_limit()
    runs = []
    with tempfile.TemporaryDirectory(prefix="pidj-benchmark-") as directory:
        commit = durable_commit(Path(directory) / "commits.db")
        for number in range(options.rounds):
            for server in SERVERS:
                _say(f"round {number + 1}/{options.rounds} {server}")
                file = Path(directory) / f"{number}-{SERVERS.index(server)}.db"
                runs.append(_measure_one(options, server, number, file))
                for left in file.parent.glob(f"{file.name}*"):
                    left.unlink()
    _say("")
    return IngestFigures(runs=tuple(runs), commit=commit)


def _measure_one(options: IngestOptions, server: str, number: int, file: Path) -> Ingested:
    server_core, client_core = cores()
    with _server(server, file, server_core) as (port, ask):
        load = Load(
            port=port,
            connections=options.connections,
            seconds=options.seconds,
            rate=options.rate,
            first=0,
            core=client_core,
            distinct_heads=options.distinct_heads,
        )
        paced = _perform(load)
        sent = paced.warm_up + paced.posts
        before = ask()
        saturated = _perform(attrs.evolve(load, rate=None, first=sent))
        after = ask()
        sent += saturated.warm_up + saturated.posts
        states = {} if server == BARE else _states(file)
    if after["answered"] != sent or (server != BARE and sum(states.values()) != sent):
        msg = f"{server}: {sent} posts were acknowledged, {after['answered']} answered, {states} are stored"
        raise LostEventsError(msg)
    return Ingested(
        server=server,
        round=number,
        paced=paced,
        saturated=saturated,
        server_cpu_seconds=after["cpu_seconds"] - before["cpu_seconds"],
        handled=states.get("handled", 0) / sent,
    )


def _states(file: Path) -> dict[str, int]:
    with closing(sqlite3.connect(file, timeout=30)) as connection:
        return dict(connection.execute("SELECT state, count(*) FROM pidj_events GROUP BY state").fetchall())


def _perform(load: Load) -> Wave:
    done = subprocess.run(  # noqa: S603  our own interpreter and our own module
        [sys.executable, "-m", "benchmarks.ingest_load", json.dumps(attrs.asdict(load))],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
        timeout=TIME_LIMIT + load.seconds + 60,
        text=True,
    )
    return Wave(**json.loads(done.stdout))


@contextmanager
def _server(name: str, file: Path, core: int | None) -> Generator[tuple[int, Callable[[], dict[str, Any]]]]:
    with subprocess.Popen(  # noqa: S603  as above
        [sys.executable, "-m", "benchmarks.ingest_server", name, str(file), *([] if core is None else [str(core)])],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asking, answers = process.stdin, process.stdout

        def ask() -> dict[str, Any]:
            asking.write("\n")
            asking.flush()
            answer: dict[str, Any] = json.loads(answers.readline())
            return answer

        try:
            yield int(answers.readline()), ask
        finally:
            asking.close()  # its sign to end
            try:
                process.wait(timeout=_STOP_LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def _say(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


# ------------------------------------------------------------------------------------------------------------ report


class _Medians:
    def __init__(self, figures: IngestFigures, server: str) -> None:
        self._runs = [one for one in figures.runs if one.server == server]
        self.rates = [one.rate for one in self._runs]
        self.rate = median(self.rates)
        self.p99 = self.of(lambda run: run.paced.p99)

    def of(self, figure: Callable[[Ingested], float]) -> float:
        return median(figure(one) for one in self._runs)


def report_ingest(options: IngestOptions, figures: IngestFigures) -> str:
    """The table, and how it stands against the targets."""
    medians = {server: _Medians(figures, server) for server in SERVERS}
    pace = f"{options.rate:g}/s"
    heads = "; each request with a header of its own" if options.distinct_heads else ""
    lines = [
        _environment(figures.commit),
        f"Medians of {options.rounds} rounds of {options.seconds:g} s each; {options.connections} connections{heads}.",
        "",
        f"| server | posts/s | x bare | lowest-highest | CPU us | p99 ms | {pace}: p50 | p99 | worst | handled |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for server, found in medians.items():
        cells = [
            server,
            f"{found.rate:,.0f}",
            f"{found.rate / medians[BARE].rate:.2f}",
            f"{min(found.rates):,.0f}-{max(found.rates):,.0f}",
            f"{found.of(lambda run: run.cpu):,.0f}",
            f"{found.of(lambda run: run.saturated.p99):.1f}",
            f"{found.of(lambda run: run.paced.p50):.1f}",
            f"{found.p99:.1f}",
            f"{found.of(lambda run: run.paced.worst):.1f}",
            f"{found.of(lambda run: run.handled):.0%}" if server == HANDLING else "-",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    for server in (STORING, HANDLING):
        ratio, p99 = medians[server].rate / medians[BARE].rate, medians[server].p99
        fast = f"(target: at least {TARGET_RATIO:g}: {_met(ratio >= TARGET_RATIO)})"
        soon = f"(target: under {TARGET_P99:g}: {_met(p99 < TARGET_P99)})"
        lines.append(f"{server}: {ratio:.2f} times a bare route {fast}")
        lines.append(f"{server}: p99 of the acknowledgement at {pace}: {p99:.1f} ms {soon}")
    return "\n".join(lines)


def _met(met: bool) -> str:  # noqa: FBT001  read where it is called
    return "met" if met else "MISSED"


def _environment(commit: float) -> str:
    server, client = cores()
    pinned = "nothing pinned" if client is None else f"client on core {client}, server on core {server}"
    names = ("pidj-async", "starlette", "uvicorn", "httptools", "SQLAlchemy")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    return (
        f"Python {platform.python_version()} on {platform.system()} {platform.machine()}; {versions},"
        f" SQLite {sqlite3.sqlite_version}; {pinned}; one durable commit takes {commit:.2f} ms."
    )
