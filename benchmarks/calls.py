"""``python -m benchmarks``: what a call costs, ours against others', all in one run."""

from __future__ import annotations

import http.client
import json
import platform
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import attrs

from benchmarks._child import ROOT, perform, say
from benchmarks._host import cores, raise_file_limit
from benchmarks.contenders import CLIENT_ALONE, CONTENDERS, FLOOR, HTTPX, HTTPX_FITTED, TRANSPORTS, alone, over
from benchmarks.rivals import AIOHTTP, PACKAGES, missing
from benchmarks.run import PAIR, TIME_LIMIT, Job, Pair, Run
from benchmarks.server import ServerJob
from benchmarks.targets import IDEAL_AT, OWN_CPU, OWN_CPU_AT, PART_OF_IDEAL, RATIO_AT, TARGETS

if TYPE_CHECKING:
    from pidj_async.transports import TransportName

__all__ = [
    "Figures",
    "Measured",
    "MeasuredPair",
    "Medians",
    "Options",
    "WrongRequestsError",
    "counts_of",
    "measure",
    "report",
    "server",
]

_BUSY: Final = 0.85  # of its core; a server that is busier than this may have been what was measured
_FULL: Final = 100
_FULL_LOAD: Final = 0.95  # of its core; a client that is busier than this cannot do more
_SHARED: Final = 0.8  # of the time; if neither side was busy for as much of it, something else had the cores


@attrs.frozen(kw_only=True)
class Options:
    """What to measure; see ``python -m benchmarks --help``."""

    concurrency: tuple[int, ...] = (1, 10, 100, 1_000)
    requests: int = 100_000
    seconds: float = 2.0
    rounds: int = 3
    latency: float = 0.0
    server_sleeps: bool = False
    only: tuple[str, ...] = tuple(CONTENDERS)

    @property
    def measured(self) -> tuple[str, ...]:
        """The contenders that have what they need."""
        return tuple(name for name in self.only if missing(name) is None)

    @property
    def pairs(self) -> tuple[TransportName, ...]:
        """The transports of which to measure what the client adds to them."""
        return tuple(one for one in TRANSPORTS if over(one) in self.only and alone(one) in self.only)


@attrs.frozen(kw_only=True)
class Measured:
    """One run, and what the server made of it."""

    contender: str
    concurrency: int
    round: int
    run: Run
    server_busy_seconds: float

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.run.requests / self.run.seconds

    @property
    def cpu(self) -> float:
        """The client's CPU per request, in microseconds."""
        return self.run.cpu_seconds / self.run.requests * 1e6

    @property
    def server_load(self) -> float:
        """The part of the time that the server was busy."""
        return self.server_busy_seconds / self.run.seconds

    @property
    def client_load(self) -> float:
        """The part of the time that the client was busy."""
        return self.run.cpu_seconds / self.run.seconds


@attrs.frozen(kw_only=True)
class MeasuredPair:
    """What our client adds to a transport, in one run."""

    transport: TransportName
    concurrency: int
    round: int
    above: float


@attrs.frozen(kw_only=True)
class Figures:
    """Everything that was measured."""

    runs: tuple[Measured, ...]
    pairs: tuple[MeasuredPair, ...]


class WrongRequestsError(RuntimeError):
    """A contender did not send what it claims to have sent: its figures mean nothing."""


def measure(options: Options) -> Figures:
    """Run every contender, in turns: A B C, A B C, so that a slow minute of the machine is everybody's."""
    raise_file_limit()
    server_core, client_core = cores()
    runs, pairs = [], []
    with server(ServerJob(latency=options.latency, core=server_core, sleeps=options.server_sleeps)) as port:
        for concurrency in options.concurrency:
            job = Job(
                contender=PAIR,
                base_url=f"http://127.0.0.1:{port}/api/2020",
                concurrency=concurrency,
                requests=max(options.requests, concurrency),
                seconds=options.seconds,
                core=client_core,
            )
            for number in range(options.rounds):
                for contender in options.measured:
                    say(f"c={concurrency} round {number + 1}/{options.rounds} {contender}")
                    runs.append(_measure_one(attrs.evolve(job, contender=contender), port, number))
                for transport in options.pairs:
                    say(f"c={concurrency} round {number + 1}/{options.rounds} {transport} {PAIR}")
                    pairs.append(_measure_pair(attrs.evolve(job, transport=transport), port, number))
    say("")
    return Figures(runs=tuple(runs), pairs=tuple(pairs))


def _measure_pair(job: Job, port: int, number: int) -> MeasuredPair:
    before = counts_of(port)
    pair = Pair(**_perform(job))
    _check(job, before, counts_of(port), pair.requests)
    return MeasuredPair(transport=job.transport, concurrency=job.concurrency, round=number, above=pair.above * 1e6)


def _measure_one(job: Job, port: int, number: int) -> Measured:
    before = counts_of(port)
    run = Run(**_perform(job))
    after = counts_of(port)
    all_requests = run.requests + run.warm_up
    sends = job.contender != CLIENT_ALONE
    _check(job, before, after, all_requests if sends else 0)
    # The warm-up is the server's work too; its share is taken out.
    server_busy = (after["busy_seconds"] - before["busy_seconds"]) * run.requests / all_requests
    return Measured(
        contender=job.contender,
        concurrency=job.concurrency,
        round=number,
        run=run,
        server_busy_seconds=server_busy if sends else 0.0,
    )


def _perform(job: Job) -> dict[str, Any]:
    return perform("benchmarks.run", job, limit=TIME_LIMIT + job.seconds + 60)


def _check(job: Job, before: dict[str, Any], after: dict[str, Any], claimed: int) -> None:
    right, wrong = after["right"] - before["right"], after["wrong"] - before["wrong"]
    if wrong or right != claimed:
        msg = f"{job.contender} claims {claimed} requests; the server got {right} right and {wrong} wrong ones"
        raise WrongRequestsError(msg)


@contextmanager
def server(job: ServerJob) -> Generator[int, None, None]:
    """Run the server in a process of its own, and yield its port."""
    with subprocess.Popen(  # noqa: S603  as above
        [sys.executable, "-m", "benchmarks.server", json.dumps(attrs.asdict(job))],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()  # its sign to end
            process.wait(timeout=30)


def counts_of(port: int) -> dict[str, Any]:
    """Ask a server what it has seen, and what CPU it has used."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", "/counts")
        counts: dict[str, Any] = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    return counts


# ------------------------------------------------------------------------------------------------------------ report


class Medians:
    """The figures that are shown: each the median of its rounds; ``None`` for what was not measured."""

    def __init__(self, figures: Figures) -> None:
        self._pairs = figures.pairs
        self._by_key: dict[tuple[str, int], list[Measured]] = {}
        for one in figures.runs:
            self._by_key.setdefault((one.contender, one.concurrency), []).append(one)

    def runs(self, contender: str, concurrency: int) -> list[Measured]:
        """All runs of a contender at a concurrency."""
        return self._by_key.get((contender, concurrency), [])

    def rate(self, contender: str, concurrency: int) -> float | None:
        """Requests per second."""
        return _median([one.rate for one in self.runs(contender, concurrency)])

    def cpu(self, contender: str, concurrency: int) -> float | None:
        """The client's CPU per request, in microseconds."""
        return _median([one.cpu for one in self.runs(contender, concurrency)])

    def client_load(self, contender: str, concurrency: int) -> float | None:
        """The part of the time that the client was busy."""
        return _median([one.client_load for one in self.runs(contender, concurrency)])

    def server_load(self, contender: str, concurrency: int) -> float | None:
        """The part of the time that the server was busy."""
        return _median([one.server_load for one in self.runs(contender, concurrency)])

    def above(self, transport: TransportName, concurrency: int) -> float | None:
        """What the client adds to a transport, in microseconds of CPU per call."""
        pairs = [pair for pair in self._pairs if (pair.transport, pair.concurrency) == (transport, concurrency)]
        return _median([pair.above for pair in pairs])

    def fastest(self, contenders: Sequence[str], concurrency: int) -> float | None:
        """Of several contenders the greatest number of requests per second."""
        rates = [self.rate(contender, concurrency) for contender in contenders]
        return max((rate for rate in rates if rate is not None), default=None)


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def report(options: Options, figures: Figures) -> str:
    """The table, and how it stands against the targets."""
    medians = Medians(figures)
    ends = f"a run ends at {options.requests:,} requests or {options.seconds:g} s"
    answers = f"after {options.latency * 1_000:g} ms" if options.latency else "at once"
    lines = [
        _environment(),
        f"Medians of {options.rounds} rounds; {ends}; the server answers {answers}.",
        "",
        "| c | contender | requests/s | CPU us/request | x httpx | x aiohttp | x floor | lowest-highest | server |",
        "|--:|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for concurrency in options.concurrency:
        lines += [_row(medians, contender, concurrency) for contender in options.measured if contender != CLIENT_ALONE]
    lacking = [f"{name} was not measured: pip install {PACKAGES[name]}" for name in options.only if missing(name)]
    return "\n".join([*lines, "", *lacking, *_verdicts(options, medians)])


def _row(medians: Medians, contender: str, concurrency: int) -> str:
    rate = medians.rate(contender, concurrency)
    rates = [one.rate for one in medians.runs(contender, concurrency)]
    cells = [
        str(concurrency),
        contender,
        _number(rate),
        _number(medians.cpu(contender, concurrency)),
        _ratio(rate, medians.fastest((HTTPX, HTTPX_FITTED), concurrency)),
        _ratio(rate, medians.rate(AIOHTTP, concurrency)),
        _ratio(rate, medians.rate(FLOOR, concurrency)),
        f"{min(rates):,.0f}-{max(rates):,.0f}" if rates else "-",
        f"{medians.server_load(contender, concurrency) or 0:.0%}",
    ]
    return f"| {' | '.join(cells)} |"


def _verdicts(options: Options, medians: Medians) -> Generator[str]:
    for concurrency in options.concurrency:
        for transport in options.pairs:
            if (above := medians.above(transport, concurrency)) is not None:
                said = f"our own CPU per call above the {transport} transport at c={concurrency}: {above:.1f} us"
                if concurrency in OWN_CPU_AT:
                    said += f" (target: at most {OWN_CPU:g}: {_met(above <= OWN_CPU)})"
                yield said
        if (own := medians.cpu(CLIENT_ALONE, concurrency)) is not None:
            yield f"the same, measured with a transport that does nothing, at c={concurrency}: {own:.1f} us"
    for concurrency in sorted(set(RATIO_AT).intersection(options.concurrency)) if not options.latency else ():
        for target in TARGETS:
            rate, reference = (
                medians.rate(target.contender, concurrency),
                medians.fastest(target.reference, concurrency),
            )
            if rate is not None and reference is not None:
                yield (
                    f"{target.contender} at c={concurrency}: {rate / reference:.2f} times {target.words} "
                    f"(target: at least {target.at_least:g}: {_met(rate >= target.at_least * reference)})"
                )
    if options.latency and IDEAL_AT in options.concurrency:
        yield from _ideal(options, medians)
    yield from _server_verdicts(options, medians)


def _ideal(options: Options, medians: Medians) -> Generator[str]:
    ideal = IDEAL_AT / options.latency
    for contender in options.measured:
        rate = medians.rate(contender, IDEAL_AT)
        if contender != CLIENT_ALONE and rate is not None:
            verdict = ""
            if contender in map(over, TRANSPORTS):
                met = _met(rate >= PART_OF_IDEAL * ideal)
                if rate < PART_OF_IDEAL * ideal and (medians.client_load(contender, IDEAL_AT) or 0.0) >= _FULL_LOAD:
                    met = "all that its CPU allows"
                verdict = f" (target: at least {PART_OF_IDEAL:.0%}: {met})"
            yield f"{contender} at c={IDEAL_AT}: {rate / ideal:.0%} of the ideal {ideal:,.0f} a second{verdict}"


def _server_verdicts(options: Options, medians: Medians) -> Generator[str]:
    """How one knows that the server was not what was measured: it had time to spare."""
    loads = {
        (contender, concurrency): medians.server_load(contender, concurrency) or 0.0
        for contender in options.measured
        for concurrency in options.concurrency
    }
    for (contender, concurrency), load in loads.items():
        if load >= _BUSY:
            yield f"{contender} at c={concurrency} may have been held up by the server, which was busy {load:.0%}"
    spare = [load for load in loads.values() if load < _BUSY]
    yield f"with all others, the server was busy at most {max(spare, default=0.0):.0%} of the time"
    # A hundred at a time leave a client nothing to wait for, but the cores.
    full = [
        max(one.client_load, one.server_load)
        for contender in options.measured
        for concurrency in options.concurrency
        for one in medians.runs(contender, concurrency)
        if concurrency >= _FULL and contender != CLIENT_ALONE and not options.latency
    ]
    if full and median(full) < _SHARED:
        yield (
            f"THE MACHINE WAS NOT QUIET: at c={_FULL} and more, client or server were busy only {median(full):.0%} of "
            f"the time; the CPU per request means more than the requests per second"
        )


def _met(met: bool) -> str:  # noqa: FBT001  read where it is called
    return "met" if met else "MISSED"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _ratio(value: float | None, reference: float | None) -> str:
    return "-" if value is None or not reference else f"{value / reference:.2f}"


def _environment() -> str:
    server, client = cores()
    pinned = "nothing pinned" if client is None else f"client on core {client}, server on core {server}"
    versions = ", ".join(f"{name} {version(name)}" for name in ("pidj-async", "httpx", "httpcore", "anyio"))
    return f"Python {platform.python_version()} on {platform.system()} {platform.machine()}; {versions}; {pinned}."
