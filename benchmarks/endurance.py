"""``python -m benchmarks endurance``: whether the millionth call costs what the first thousand did, and no more memory.

``python -m benchmarks.endurance JOB`` is the part that runs in a process of its own.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from statistics import median
from typing import TYPE_CHECKING, Final

import attrs

from benchmarks._child import perform, say
from benchmarks._host import cores, memory, pin, raise_file_limit
from benchmarks.calls import server
from benchmarks.contenders import CONTENDERS, over
from benchmarks.server import ServerJob
from benchmarks.texts import Dose

if TYPE_CHECKING:
    from pidj_async.transports import TransportName

__all__ = ["EnduranceJob", "Endured", "endure", "measure_endurance", "report_endurance"]

GROWTH: Final = 0.05
"""By which the cost of a call may have grown at the end."""
GROWTH_OF_MEMORY: Final = 0.01
"""By which the process's memory may have: an allocator takes a while to settle."""

_WARM_UP: Final = 1_000
_WINDOWS: Final = 100
_COMPARED: Final = 10  # windows at the beginning, and as many at the end
_SLOWEST: Final = 100.0  # requests a second: with fewer, something is wrong


@attrs.frozen(kw_only=True)
class EnduranceJob:
    """What to run.

    Attributes:
        transport: Which of ours.
        base_url: The server's.
        concurrency: How many requests are under way at a time.
        requests: How many in all.
        core: The core to run on.
    """

    transport: TransportName = "httpx"
    base_url: str = ""
    concurrency: int = 100
    requests: int = 1_000_000
    core: int | None = None


@attrs.frozen(kw_only=True)
class Endured:
    """What came of it.

    Attributes:
        requests: How many were sent.
        cpu: For each of a hundred windows of equally many requests the CPU per request, in microseconds.
        memory: At the end of each window, what the process has in memory, in bytes.
    """

    requests: int
    cpu: tuple[float, ...]
    memory: tuple[int, ...]

    @property
    def growth(self) -> float:
        """By which part of what a call cost in the first windows it cost more in the last ones."""
        return median(self.cpu[-_COMPARED:]) / median(self.cpu[:_COMPARED]) - 1

    @property
    def growth_of_memory(self) -> float:
        """The same of the memory."""
        return median(self.memory[-_COMPARED:]) / median(self.memory[:_COMPARED]) - 1


async def endure(job: EnduranceJob) -> Endured:
    """Send window after window through one client."""
    size = max(job.requests // _WINDOWS, 1)
    cpu, held = [], []
    async with CONTENDERS[over(job.transport)](job.base_url, job.concurrency) as drive:
        await drive(Dose(max(_WARM_UP, job.concurrency), float("inf")))
        gc.collect()
        for _ in range(_WINDOWS):
            start = time.process_time()
            await drive(Dose(size, float("inf")))
            cpu.append((time.process_time() - start) / size * 1e6)
            held.append(memory())
    return Endured(requests=size * _WINDOWS, cpu=tuple(cpu), memory=tuple(held))


def measure_endurance(job: EnduranceJob) -> Endured:
    """Start a server, and let another process send."""
    raise_file_limit()
    server_core, client_core = cores()
    say(f"{job.requests:,} requests over {job.transport}")
    with server(ServerJob(core=server_core)) as port:
        job = attrs.evolve(job, base_url=f"http://127.0.0.1:{port}/api/2020", core=client_core)
        done = perform("benchmarks.endurance", job, limit=60 + job.requests / _SLOWEST)
    say("")
    return Endured(requests=done["requests"], cpu=tuple(done["cpu"]), memory=tuple(done["memory"]))


def report_endurance(job: EnduranceJob, endured: Endured) -> str:
    """A line for each tenth of the way, and how it stands against the targets."""
    lines = [
        f"{endured.requests:,} requests over {job.transport}, {job.concurrency} under way at a time.",
        "",
        "| requests | CPU us/request | memory MB |",
        "|--:|--:|--:|",
    ]
    step = len(endured.cpu) // 10
    for start in range(0, len(endured.cpu), step):
        last = start + step
        cells = (
            f"{endured.requests * last // len(endured.cpu):,}",
            f"{median(endured.cpu[start:last]):.1f}",
            f"{endured.memory[last - 1] / 1e6:.1f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    for words, growth, target in (
        ("a call's CPU in the last tenth against the first", endured.growth, GROWTH),
        ("the memory in the last tenth against the first", endured.growth_of_memory, GROWTH_OF_MEMORY),
    ):
        met = "met" if growth <= target else "MISSED"
        lines.append(f"{words}: {growth:+.1%} (target: at most {target:+.0%}: {met})")
    return "\n".join(lines)


if __name__ == "__main__":
    the_job = EnduranceJob(**json.loads(sys.argv[1]))
    raise_file_limit()
    pin(the_job.core)
    print(json.dumps(attrs.asdict(asyncio.run(endure(the_job)))))
