"""A process that runs a campaign, to be killed.

``python victim.py add|join STORE BASE_URL RECIPIENTS CONCURRENCY LEASE``

With ``add`` it is the whole story each time: it opens the store, adds the recipients (which adds nobody twice), and
runs until nobody is left to be texted. With ``join`` it takes part in a campaign that is there. What it prints at its
end is how far the campaign is.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import anyio

from pidj_async import HttpxTransport, Pidj
from pidj_async.campaigns import campaign as campaigns
from pidj_async.campaigns.runner import RunnerOptions
from pidj_async.campaigns.sources import open_source
from pidj_async.pacing import Pacer
from pidj_async.store import Store

READ_TIMEOUT = 4.0
"""Seconds; longer than the slowest reply of the counting server, and shorter than its hangs."""


async def main(*arguments: str) -> None:
    way, store_url, base_url, recipients, concurrency, lease = arguments
    # Nobody but a test needs another lease.
    vars(campaigns)["RunnerOptions"] = partial(RunnerOptions, lease=float(lease))
    transport = HttpxTransport(read_timeout=READ_TIMEOUT)
    # Faults come by chance here, not because a server is down: more in a row than that would be another test.
    pacer = Pacer(concurrency=int(concurrency), failures=50)
    async with (
        Store(store_url) as store,
        Pidj(account_key="key", token="token", base_url=base_url, transport=transport) as pidj,
    ):
        if way == "join":
            campaign = await campaigns.Campaign.find(store, "crash", client=pidj, pacer=pacer)
        else:
            campaign = campaigns.Campaign(
                store,
                "crash",
                client=pidj,
                text="Hi {name}",
                group_id="gr:1",
                hours="any",
                concurrency=int(concurrency),
                max_in_doubt=1_000_000,
                pacer=pacer,
            )
            await campaign.add(open_source(Path(recipients)))
        status = await campaign.run()
    await transport.aclose()
    print(json.dumps({"state": status.state, "counts": dict(status.counts)}))  # noqa: T201  whoever started it reads that


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
