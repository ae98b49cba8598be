"""One run in a process of its own: ``python -m benchmarks.campaigns_run JOB`` prints its `Campaigned` as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Final

import attrs

from benchmarks._host import peak_memory, pin, raise_file_limit
from benchmarks.contenders import CONTENDERS, SEND_MANY, pidj_at, send_many
from benchmarks.rivals import Drive, crew
from benchmarks.texts import GROUP_ID, TEXT, Dose, person

if TYPE_CHECKING:
    from pidj_async.transports import TransportName

__all__ = ["CAMPAIGN", "TIME_LIMIT", "CampaignJob", "Campaigned", "UnfinishedError", "perform_campaign"]

CAMPAIGN: Final = "durable campaign"

TIME_LIMIT: Final = 300.0
"""Seconds after which a run is given up, on top of what each recipient may take."""
_PER_RECIPIENT: Final = 1 / 500

_WARM_UP: Final = 200


@attrs.frozen(kw_only=True)
class CampaignJob:
    """What to run.

    Attributes:
        contender: `CAMPAIGN`, or one of `CONTENDERS`.
        base_url: The server's.
        concurrency: How many texts are under way at a time.
        recipients: How many people to text.
        seconds: After how long contenders other than a campaign stop.
        transport: The campaign's, and that of `SEND_MANY`.
        store: Where the campaign keeps its ledger, a URL.
        core: The core to run on.
    """

    contender: str
    base_url: str
    concurrency: int
    recipients: int
    seconds: float
    transport: TransportName = "auto"
    store: str = ""
    core: int | None = None

    @property
    def warm_up(self) -> int:
        """How many texts go before what is measured, to open the connections."""
        return max(_WARM_UP, self.concurrency)

    @property
    def limit(self) -> float:
        """Seconds after which the run is given up."""
        return TIME_LIMIT + self.seconds + self.recipients * _PER_RECIPIENT


@attrs.frozen(kw_only=True)
class Campaigned:
    """What came of it.

    Attributes:
        requests: How many texts were measured.
        seconds: How long those took.
        cpu_seconds: The process's CPU for them, user and system, the store's threads included.
        loading_seconds: How long it took to add the recipients; 0 if that was not to be done.
        loading_cpu_seconds: The process's CPU for that.
        memory: The most that the process has had in memory, in bytes.
    """

    requests: int
    seconds: float
    cpu_seconds: float
    loading_seconds: float = 0.0
    loading_cpu_seconds: float = 0.0
    memory: int = 0


class UnfinishedError(RuntimeError):
    """The campaign has not texted everybody: its figures mean nothing."""


async def perform_campaign(job: CampaignJob) -> Campaigned:
    """Open the contender's connections, then measure."""
    done = await (_campaign(job) if job.contender == CAMPAIGN else _loop(job))
    return attrs.evolve(done, memory=peak_memory())


def _warm_up_of(job: CampaignJob) -> Dose:
    return Dose(job.warm_up, float("inf"), whom=person, first=job.recipients)


async def _loop(job: CampaignJob) -> Campaigned:
    async with _contender(job) as drive:
        await drive(_warm_up_of(job))
        dose = Dose(job.recipients, job.seconds, whom=person)
        start, cpu = time.perf_counter(), time.process_time()
        await drive(dose)
        return Campaigned(
            requests=dose.taken, seconds=time.perf_counter() - start, cpu_seconds=time.process_time() - cpu
        )


def _contender(job: CampaignJob) -> AbstractAsyncContextManager[Drive]:
    if job.contender == SEND_MANY:
        return send_many(job.base_url, job.concurrency, job.transport)
    return CONTENDERS[job.contender](job.base_url, job.concurrency)


async def _campaign(job: CampaignJob) -> Campaigned:
    from pidj_async.campaigns import (  # noqa: PLC0415  who is measured beside it loads nothing of this
        Campaign,
        CampaignState,
        RecipientState,
    )
    from pidj_async.store import Store  # noqa: PLC0415

    async with pidj_at(job.base_url, job.transport) as pidj, Store(job.store) as store:

        async def send(number: str) -> object:
            return await pidj.messages.send(to_number=number, text_body=TEXT, group_id=GROUP_ID)

        await crew(send, job.concurrency)(_warm_up_of(job))
        campaign = Campaign(
            store,
            "benchmark",
            client=pidj,
            text=TEXT,
            group_id=GROUP_ID,
            hours="any",  # it may be night in Denver
            concurrency=job.concurrency,
        )
        loading, loading_cpu = time.perf_counter(), time.process_time()
        await campaign.add(_people(job.recipients))
        start, cpu = time.perf_counter(), time.process_time()
        status = await campaign.run()
        ended, cpu_ended = time.perf_counter(), time.process_time()
    sent = status.counts[RecipientState.SENT]
    if sent != job.recipients or status.state is not CampaignState.DONE:
        msg = f"of {job.recipients} recipients {sent} were sent a text; the campaign is {status.state}"
        raise UnfinishedError(msg)
    return Campaigned(
        requests=sent,
        seconds=ended - start,
        cpu_seconds=cpu_ended - cpu,
        loading_seconds=start - loading,
        loading_cpu_seconds=cpu - loading_cpu,
    )


def _people(count: int) -> Iterator[str]:
    return map(person, range(count))


async def _perform_in_time(job: CampaignJob) -> Campaigned:
    # Whatever goes wrong, and even if the parent is gone, this process ends by itself.
    async with asyncio.timeout(job.limit):
        return await perform_campaign(job)


if __name__ == "__main__":
    the_job = CampaignJob(**json.loads(sys.argv[1]))
    raise_file_limit()
    pin(the_job.core)
    print(json.dumps(attrs.asdict(asyncio.run(_perform_in_time(the_job)))))
