"""One contender, one run: ``python -m benchmarks.run JOB``, in a process of its own. Prints its `Run` as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
import time

import attrs

from benchmarks._host import pin, raise_file_limit
from benchmarks.contenders import CONTENDERS
from benchmarks.texts import Dose

__all__ = ["Job", "Run", "perform"]

_WARM_UP = 200


@attrs.frozen(kw_only=True)
class Job:
    """What to run.

    Attributes:
        contender: Its name in `CONTENDERS`.
        base_url: The server's.
        concurrency: How many requests are under way at a time.
        requests: How many to measure at most.
        seconds: How long to measure at most; what is under way by then is waited for, and counts.
        core: The core to run on.
    """

    contender: str
    base_url: str
    concurrency: int
    requests: int
    seconds: float
    core: int | None = None


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


async def _perform_in_time(job: Job) -> Run:
    # Whatever goes wrong, and even if the parent is gone, this process ends by itself.
    async with asyncio.timeout(60 + 10 * job.seconds):
        return await perform(job)


if __name__ == "__main__":
    job = Job(**json.loads(sys.argv[1]))
    raise_file_limit()
    pin(job.core)
    print(json.dumps(attrs.asdict(asyncio.run(_perform_in_time(job)))))  # noqa: T201  the parent reads it
