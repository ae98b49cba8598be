"""Campaigns that have run, as their ledgers look afterwards; written without the ledger's own code."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from pidj_async.campaigns.figures import CampaignReport, OptOuts
from pidj_async.campaigns.records import CampaignRecord
from pidj_async.campaigns.states import CampaignState, RecipientState
from pidj_async.store import schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection

    from pidj_async.store import Store

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
START: Final = int(datetime(2026, 11, 23, 15, 0, tzinfo=UTC).timestamp()) * SECOND
GROUP: Final = "gr:7f3c"

Row = dict[str, Any]


def moment(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds // SECOND, UTC) + timedelta(microseconds=microseconds % SECOND)


def row(number: int, state: str, *, at: int | None = None, **values: Any) -> Row:
    """A recipient, claimed so many microseconds after the campaign's start; nobody's, if not at all."""
    claimed = None if at is None else START + at
    return {
        "phone_number": f"+1303555{number:04}",
        "line": number + 2,
        "segments": 1,
        "state": state,
        "attempts": 0 if at is None else 1,
        "fence": 0 if at is None else 1,
        "claimed_at": claimed,
        "settled_at": claimed,
        "text_body": None,
        "took": None,
        "cause": None,
        "error": None,
        **values,
    }


def log(at: int, what: str, who: str = "maria@office", **values: Any) -> Row:
    return {"at": START + at, "what": what, "who": who, "recipient": None, "detail": None, **values}


def opt_out(number: int, at: int, **values: Any) -> Row:
    """Somebody is put on the suppression list, by an event if nothing else is said."""
    return {
        "phone_number": f"+1303555{number:04}",
        "scope": "",
        "suppressed": True,
        "source": "opt-out",
        "changed_at": START + at,
        "event_id": number + 1,
        **values,
    }


async def put(
    store: Store,
    rows: Iterable[Row] = (),
    *,
    id: str = "spring",
    state: str = "done",
    reason: str | None = None,
    settings: Mapping[str, object] | None = None,
    sources: Mapping[str, object] | None = None,
    logged: Iterable[Row] = (),
    suppressed: Iterable[Row] = (),
) -> None:
    """Write a campaign as it stands."""
    given = {"text": "Hi {first_name}, we open at nine.", "group_id": GROUP, "hours": "8:00-21:00", "concurrency": 100}
    people, entries, listed = list(rows), list(logged), list(suppressed)

    def write(connection: Connection) -> None:
        number = connection.execute(
            schema.campaigns.insert()
            .values(
                id=id,
                state=state,
                reason=reason,
                settings=json.dumps(given if settings is None else settings),
                sources=json.dumps({} if sources is None else sources),
                created_at=START - 10 * MINUTE,
                started_at=START if people else None,
                ended_at=None,
            )
            .returning(schema.campaigns.c.number)
        ).scalar_one()
        for table, found in ((schema.recipients, people), (schema.campaign_log, entries)):
            if found:
                connection.execute(table.insert(), [{**one, "campaign": number} for one in found])
        if listed:
            connection.execute(schema.suppressions.insert(), listed)

    await store.write(write)


async def put_spring(store: Store) -> None:
    """A campaign of three days, with pauses, refusals, doubts and opt-outs: 1,920 people."""
    chance = random.Random(7)
    stretches = ((0, 5 * HOUR), (17 * HOUR, 29 * HOUR), (41 * HOUR, 47 * HOUR))
    causes = {
        "rejected": (("http-400", 9), ("declined", 6)),
        "in_doubt": (("http-503", 3), ("read-timeout", 4), ("connection-lost", 3), ("worker-lost", 2)),
        "suppressed": (("opt-out", 37), ("no-consent", 4)),
        "abandoned": (("read-timeout", 3),),
        "expired": ((None, 1),),
    }
    outcomes = [(state, cause) for state, found in causes.items() for cause, count in found for _ in range(count)]
    outcomes += [("sent", None)] * (1_920 - len(outcomes))
    chance.shuffle(outcomes)
    rows = []
    for number, (state, cause) in enumerate(outcomes):
        begin, end = stretches[0 if number < 700 else 1 if number < 1_600 else 2]
        at = int(chance.triangular(begin, end, begin + (end - begin) / 4))
        took = int(chance.lognormvariate(11.4, 0.6)) + (30 * SECOND if cause == "read-timeout" else 0)
        claimed = state not in {"suppressed", "expired"}
        rows.append(
            row(
                number,
                state,
                at=at if claimed else None,
                cause=cause,
                took=took if claimed and cause != "worker-lost" else None,
                segments=chance.choices((1, 2, 3), (80, 17, 3))[0],
                attempts=chance.choices((1, 2), (97, 3))[0] if claimed else 0,
                error={
                    "read-timeout": "no reply within 30 s; the text may be on its way",
                    "connection-lost": "the connection was closed before a reply to +13035550123 came",
                    "http-503": "Pidj answered 503 Service Unavailable",
                }.get(cause or ""),
            )
        )
    sent = [(number, one) for number, one in enumerate(rows) if one["state"] == "sent"]
    suppressed = [
        opt_out(number, one["claimed_at"] - START + chance.choice((MINUTE, 20 * MINUTE, 5 * HOUR, 40 * HOUR)))
        for number, one in chance.sample(sent, 23)
    ]
    await put(
        store,
        rows,
        settings={
            "text": 'Hi {first_name|there}, the spring sale is on until Friday. "Reply STOP to opt out" <3',
            "group_id": GROUP,
            "hours": "8:00-21:00",
            "rate": 20.0,
            "concurrency": 100,
            "check_consent": False,
            "max_in_doubt": 100,
            "region": "US",
        },
        sources={
            "recipients.csv": {
                "complete": True,
                "lines": 2_000,
                "invalid": 37,
                "duplicate": 43,
                "problems": [[17 + 50 * one, "555-1234 is too short to be a number"] for one in range(37)],
            }
        },
        logged=[
            log(-10 * MINUTE, "created"),
            log(0, "running"),
            log(5 * HOUR, "paused", "worker 1", detail="402 Payment Required: the account has no funds left"),
            log(17 * HOUR, "running"),
            log(29 * HOUR, "paused", detail="to be continued tomorrow"),
            log(41 * HOUR, "running"),
            log(41 * HOUR, "swept", "worker 2", detail="2 texts of worker 1 are in doubt"),
            log(47 * HOUR, "done", "worker 2"),
            log(48 * HOUR, "resolved", recipient=5, detail="in_doubt to abandoned: asked by telephone"),
        ],
        suppressed=suppressed,
    )


def made(
    state: CampaignState = CampaignState.DONE, *, reason: str | None = None, invalid: int = 0, **counts: int
) -> CampaignReport:
    """A report with so many recipients in each state, and nothing else."""
    campaign = CampaignRecord(
        number=1,
        id="spring",
        state=state,
        reason=reason,
        settings={},
        sources={"list.csv": {"lines": 9, "invalid": invalid, "duplicate": 0, "problems": [], "complete": True}},
        created_at=moment(START + 30 * HOUR),
        started_at=None,
        ended_at=None,
    )
    return CampaignReport(
        campaign=campaign,
        made_at=moment(START + 30 * HOUR),
        unmasked=False,
        price_per_segment=None,
        currency="USD",
        counts={one: counts.get(one.value, 0) for one in RecipientState},
        outcomes=(),
        repeated=0,
        segments=(),
        first_at=None,
        last_at=None,
        bucket_seconds=1,
        buckets=(),
        latency=None,
        pauses=(),
        opt_outs=OptOuts(within_hour=0, within_day=0, within_week=0, later=0),
        in_doubt=(),
        log=(),
        log_left_out=0,
    )
