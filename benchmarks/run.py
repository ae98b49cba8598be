"""One run in a process of its own: ``python -m benchmarks.run JOB`` prints its `Run`, or its `Pair`, as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from statistics import median
from typing import TYPE_CHECKING

import attrs

from benchmarks._host import pin, raise_file_limit
from benchmarks.contenders import CONTENDERS, client_and_transport
from benchmarks.texts import Dose

if TYPE_CHECKING:
    from pidj_async.transports import TransportName

__all__ = ["PAIR", "TIME_LIMIT", "Job", "Pair", "Run", "perform", "perform_pair"]

PAIR = "client and transport in turns"
"""What the job of `perform_pair` has for a contender."""

TIME_LIMIT = 240.0
"""Seconds after which a run is given up, on top of what it was to measure: plain httpx is slow to open a thousand."""


_WARM_UP = 200
_TURN = 100


@attrs.frozen(kw_only=True)
class Job:
    """What to run.

    Attributes:
        contender: Its name in `CONTENDERS`, or `PAIR`.
        base_url: The server's.
        concurrency: How many requests are under way at a time.
        requests: How many to measure at most.
        seconds: How long to measure at most; what is under way by then is waited for, and counts.
        core: The core to run on.
        transport: Of a `PAIR`.
    """

    contender: str
    base_url: str
    concurrency: int
    requests: int
    seconds: float
    core: int | None = None
    transport: TransportName = "httpx"


@attrs.frozen(kw_only=True)
class Run:
    """What came of it.

    Attributes:
        requests: How many were measured.
        warm_up: How many went before, to open the connections; they are not in the figures.
        seconds: How long it took.
        cpu_seconds: The client process's CPU, user and system.
    """

    requests: int
    warm_up: int
    seconds: float
    cpu_seconds: float


async def perform(job: Job) -> Run:
    """Open the contender's connections, then measure."""
    async with CONTENDERS[job.contender](job.base_url, job.concurrency) as drive:
        warm_up = Dose(max(_WARM_UP, job.concurrency), job.seconds)
        await drive(warm_up)
        dose = Dose(job.requests, job.seconds)
        start, cpu = time.perf_counter(), time.process_time()
        await drive(dose)
        return Run(
            requests=dose.taken,
            warm_up=warm_up.taken,
            seconds=time.perf_counter() - start,
            cpu_seconds=time.process_time() - cpu,
        )


@attrs.frozen(kw_only=True)
class Pair:
    """The client and the transport below it, in turns over the same connections.

    Attributes:
        requests: How many were sent in all, those before the measuring included.
        above: By how many seconds of CPU per call the client exceeds the transport: the median over the turns.
    """

    requests: int
    above: float


async def perform_pair(job: Job) -> Pair:
    """Take turns of a few requests each.

    What the client adds is small beside what the transport costs, and that wanders by more than this from one process
    to the next: only turns that follow at each other's heels can be subtracted.
    """
    turn = max(_TURN, job.concurrency)
    differences: list[float] = []
    async with client_and_transport(job.transport, job.base_url, job.concurrency) as drives:
        sent = 0
        until = time.perf_counter() + job.seconds
        for drive in drives:
            warm_up = Dose(max(_WARM_UP, job.concurrency), TIME_LIMIT)
            await drive(warm_up)
            sent += warm_up.taken
        while not differences or (time.perf_counter() < until and len(differences) * 2 * turn < job.requests):
            spent = []
            for drive in drives:
                dose = Dose(turn, TIME_LIMIT)
                cpu = time.process_time()
                await drive(dose)
                spent.append((time.process_time() - cpu) / dose.taken)
                sent += dose.taken
            differences.append(spent[0] - spent[1])
    return Pair(requests=sent, above=median(differences))


async def _perform_in_time(job: Job) -> Run | Pair:
    # Whatever goes wrong, and even if the parent is gone, this process ends by itself.
    async with asyncio.timeout(TIME_LIMIT + job.seconds):
        return await (perform_pair(job) if job.contender == PAIR else perform(job))


if __name__ == "__main__":
    the_job = Job(**json.loads(sys.argv[1]))
    raise_file_limit()
    pin(the_job.core)
    print(json.dumps(attrs.asdict(asyncio.run(_perform_in_time(the_job)))))
