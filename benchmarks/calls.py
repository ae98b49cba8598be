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
from pathlib import Path
from statistics import median
from typing import Any, Final

import attrs

from benchmarks._host import cores, raise_file_limit
from benchmarks.contenders import CLIENT_ALONE, CONTENDERS, FLOOR, HTTPX, HTTPX_FITTED, PIDJ, SEND_MANY, TRANSPORT
from benchmarks.run import PAIR, TIME_LIMIT, Job, Pair, Run

__all__ = ["Figures", "Measured", "MeasuredPair", "Options", "WrongRequestsError", "measure", "report"]

ROOT: Final = Path(__file__).parent.parent

TARGET_RATIO: Final = 5.0
TARGET_OWN_CPU: Final = 25.0
_RATIO_AT: Final = (100, 1_000)
_OWN_CPU_AT: Final = (1, 100)


@attrs.frozen(kw_only=True)
class Options:
    """What to measure; see ``python -m benchmarks --help``."""

    concurrency: tuple[int, ...] = (1, 10, 100, 1_000)
    requests: int = 10_000
    seconds: float = 2.0
    rounds: int = 3
    only: tuple[str, ...] = tuple(CONTENDERS)

    @property
    def pairs(self) -> bool:
        """Whether to measure what the client adds to its transport."""
        return PIDJ in self.only and TRANSPORT in self.only


@attrs.frozen(kw_only=True)
class Measured:
    """One run, and what the server made of it."""

    contender: str
    concurrency: int
    round: int
    run: Run
    server_cpu_seconds: float

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
        return self.server_cpu_seconds / self.run.seconds


@attrs.frozen(kw_only=True)
class MeasuredPair:
    """What our client adds to its transport, in one run."""

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
    with _server(server_core) as port:
        for concurrency in options.concurrency:
            for number in range(options.rounds):
                for contender in (*options.only, *([PAIR] if options.pairs else [])):
                    _say(f"c={concurrency} round {number + 1}/{options.rounds} {contender}")
                    job = Job(
                        contender=contender,
                        base_url=f"http://127.0.0.1:{port}/api/2020",
                        concurrency=concurrency,
                        requests=max(options.requests, concurrency),
                        seconds=options.seconds,
                        core=client_core,
                    )
                    if contender == PAIR:
                        pairs.append(_measure_pair(job, port, number))
                    else:
                        runs.append(_measure_one(job, port, number))
    _say("")
    return Figures(runs=tuple(runs), pairs=tuple(pairs))


def _measure_pair(job: Job, port: int, number: int) -> MeasuredPair:
    before = _counts(port)
    pair = Pair(**_perform(job))
    _check(job, before, _counts(port), pair.requests)
    return MeasuredPair(concurrency=job.concurrency, round=number, above=pair.above * 1e6)


def _measure_one(job: Job, port: int, number: int) -> Measured:
    before = _counts(port)
    run = Run(**_perform(job))
    after = _counts(port)
    all_requests = run.requests + run.warm_up
    sends = job.contender != CLIENT_ALONE
    _check(job, before, after, all_requests if sends else 0)
    # The warm-up is the server's work too; its share is taken out.
    server_cpu = (after["cpu_seconds"] - before["cpu_seconds"]) * run.requests / all_requests
    return Measured(
        contender=job.contender,
        concurrency=job.concurrency,
        round=number,
        run=run,
        server_cpu_seconds=server_cpu if sends else 0.0,
    )


def _perform(job: Job) -> dict[str, Any]:
    done = subprocess.run(  # noqa: S603  our own interpreter and our own module
        [sys.executable, "-m", "benchmarks.run", json.dumps(attrs.asdict(job))],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
        timeout=TIME_LIMIT + job.seconds + 60,
        text=True,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _check(job: Job, before: dict[str, Any], after: dict[str, Any], claimed: int) -> None:
    right, wrong = after["right"] - before["right"], after["wrong"] - before["wrong"]
    if wrong or right != claimed:
        msg = f"{job.contender} claims {claimed} requests; the server got {right} right and {wrong} wrong ones"
        raise WrongRequestsError(msg)


@contextmanager
def _server(core: int | None) -> Generator[int, None, None]:
    with subprocess.Popen(  # noqa: S603  as above
        [sys.executable, "-m", "benchmarks.server", *([] if core is None else [str(core)])],
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


def _counts(port: int) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", "/counts")
        counts: dict[str, Any] = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    return counts


def _say(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


# ------------------------------------------------------------------------------------------------------------ report


class _Medians:
    def __init__(self, figures: Figures) -> None:
        self._pairs = figures.pairs
        self._by_key: dict[tuple[str, int], list[Measured]] = {}
        for one in figures.runs:
            self._by_key.setdefault((one.contender, one.concurrency), []).append(one)

    def runs(self, contender: str, concurrency: int) -> list[Measured]:
        return self._by_key.get((contender, concurrency), [])

    def rate(self, contender: str, concurrency: int) -> float | None:
        return _median([one.rate for one in self.runs(contender, concurrency)])

    def cpu(self, contender: str, concurrency: int) -> float | None:
        return _median([one.cpu for one in self.runs(contender, concurrency)])

    def server_load(self, contender: str, concurrency: int) -> float | None:
        return _median([one.server_load for one in self.runs(contender, concurrency)])

    def above_transport(self, concurrency: int) -> float | None:
        return _median([pair.above for pair in self._pairs if pair.concurrency == concurrency])

    def httpx_rate(self, concurrency: int) -> float | None:
        """Of the two ways to set up plain httpx the faster."""
        rates = [self.rate(contender, concurrency) for contender in (HTTPX, HTTPX_FITTED)]
        return max((rate for rate in rates if rate is not None), default=None)


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def report(options: Options, figures: Figures) -> str:
    """The table, and how it stands against the targets."""
    medians = _Medians(figures)
    lines = [
        _environment(),
        f"Medians of {options.rounds} rounds; a run ends at {options.requests:,} requests or {options.seconds:g} s.",
        "",
        "| c | contender | requests/s | CPU us/request | x httpx | x floor | lowest-highest requests/s | server busy |",
        "|--:|---|--:|--:|--:|--:|--:|--:|",
    ]
    for concurrency in options.concurrency:
        lines += [_row(medians, contender, concurrency) for contender in options.only if contender != CLIENT_ALONE]
    return "\n".join([*lines, "", *_verdicts(options, medians)])


def _row(medians: _Medians, contender: str, concurrency: int) -> str:
    rate = medians.rate(contender, concurrency)
    rates = [one.rate for one in medians.runs(contender, concurrency)]
    cells = [
        str(concurrency),
        contender,
        _number(rate),
        _number(medians.cpu(contender, concurrency)),
        _ratio(rate, medians.httpx_rate(concurrency)),
        _ratio(rate, medians.rate(FLOOR, concurrency)),
        f"{min(rates):,.0f}-{max(rates):,.0f}" if rates else "-",
        f"{medians.server_load(contender, concurrency) or 0:.0%}",
    ]
    return f"| {' | '.join(cells)} |"


def _verdicts(options: Options, medians: _Medians) -> list[str]:
    lines = []
    for concurrency in options.concurrency:
        if (above := medians.above_transport(concurrency)) is not None:
            verdict = ""
            if concurrency in _OWN_CPU_AT:
                verdict = f" (target: at most {TARGET_OWN_CPU:g}: {_met(above <= TARGET_OWN_CPU)})"
            lines.append(f"our own CPU per call above the bare transport at c={concurrency}: {above:.1f} us{verdict}")
        if (alone := medians.cpu(CLIENT_ALONE, concurrency)) is not None:
            lines.append(f"the same, measured with a transport that does nothing, at c={concurrency}: {alone:.1f} us")
    for concurrency in options.concurrency:
        reference = medians.httpx_rate(concurrency)
        for contender in (PIDJ, SEND_MANY):
            rate = medians.rate(contender, concurrency)
            if concurrency in _RATIO_AT and rate is not None and reference is not None:
                lines.append(
                    f"{contender} at c={concurrency}: {_ratio(rate, reference)} times plain httpx "
                    f"(target: at least {TARGET_RATIO:g}: {_met(rate >= TARGET_RATIO * reference)})"
                )
    return lines


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
