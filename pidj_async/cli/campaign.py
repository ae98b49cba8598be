"""``pidj campaign``: text many people, nobody twice, nobody who said STOP."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from pidj_async._masking import mask_phone_numbers_in
from pidj_async.cli.campaign_options import id_argument
from pidj_async.cli.campaign_resolve import resolve
from pidj_async.cli.campaign_results import export, report
from pidj_async.cli.campaign_run import resume, run
from pidj_async.cli.campaign_status import find, in_words, tell_status
from pidj_async.cli.options import as_json, run_on_store, store_option
from pidj_async.cli.settings import shared_options

if TYPE_CHECKING:
    from pidj_async.campaigns.campaign import Campaign
    from pidj_async.campaigns.records import CampaignStatus, LogEntry
    from pidj_async.store import Store

__all__ = ["campaign"]


def _status(*, id: str, store_url: str | None) -> None:
    async def look(store: Store) -> CampaignStatus:
        return await (await find(store, id)).status()

    tell_status(run_on_store(store_url, look))


def _list(*, store_url: str | None) -> None:
    async def look(store: Store) -> list[dict[str, Any]]:
        from pidj_async.campaigns.ledger import Ledger  # noqa: PLC0415  `pidj --help` needs no database

        ledger = Ledger(store)
        found = []
        for record in await ledger.list():
            status = await ledger.status(record.number)
            found.append(
                {
                    "id": record.id,
                    "state": str(record.state),
                    "created_at": _time(record.created_at),
                    "started_at": _time(record.started_at),
                    "ended_at": _time(record.ended_at),
                    "recipients": status.recipients,
                    "counts": {str(state): count for state, count in status.counts.items()},
                }
            )
            if not as_json():
                found[-1]["counts"] = in_words(status.counts)
        return found

    found = run_on_store(store_url, look)

    from pidj_async.cli.output import show_records, write_json  # noqa: PLC0415

    if as_json():
        write_json(found)
    else:
        show_records(found, nothing="No campaigns.")


def _pause(*, id: str, store_url: str | None, reason: str | None) -> None:
    async def pause(found: Campaign) -> None:
        await found.pause(reason)

    _decide(id, store_url, pause)


def _cancel(*, id: str, store_url: str | None, reason: str | None) -> None:
    async def cancel(found: Campaign) -> None:
        await found.cancel(reason)

    _decide(id, store_url, cancel)


def _decide(id: str, store_url: str | None, decide: Callable[[Campaign], Any]) -> None:
    async def work(store: Store) -> CampaignStatus:
        found = await find(store, id)
        await decide(found)
        return await found.status()

    tell_status(run_on_store(store_url, work))


def _log(*, id: str, store_url: str | None) -> None:
    async def look(store: Store) -> list[LogEntry]:
        return await (await find(store, id)).log()

    shown = [
        {
            "at": _time(entry.at),
            "what": entry.what,
            "who": entry.who,
            "recipient_id": entry.recipient_id,
            "detail": None if entry.detail is None else mask_phone_numbers_in(entry.detail),
        }
        for entry in run_on_store(store_url, look)
    ]

    from pidj_async.cli.output import show_records, write_json  # noqa: PLC0415

    if as_json():
        write_json(shown)
    else:
        show_records(shown, nothing="Nothing happened yet.")


def _time(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat(timespec="seconds")


def _command(name: str, callback: Callable[..., object], help: str, *params: click.Parameter) -> click.Command:
    shared = [store_option(), *shared_options(before_command=False, connection=False)]
    return click.Command(name, callback=callback, help=help, params=[*params, *shared])


def _reason() -> click.Option:
    return click.Option(["--reason"], metavar="TEXT", help="Why, for whoever asks.")


campaign = click.Group(
    "campaign",
    short_help="Text many people: run, resume, status, resolve, report, …",
    help="Text many people: nobody twice, and nobody who said STOP.\n\n"
    "All that matters is in the store, so a campaign survives its process: after a crash, 'resume' goes on where it "
    "was. A text of which nobody knows whether it went out is in doubt, and is never sent again by itself.",
    commands=[
        run,
        resume,
        _command("status", _status, "Show how far a campaign is.", id_argument()),
        _command("list", _list, "List the campaigns in the store, the oldest first."),
        _command(
            "pause",
            _pause,
            "Let nobody send more of a campaign, on whatever machine.\n\nWhat is under way comes back. 'resume' ends "
            "the pause.",
            id_argument(),
            _reason(),
        ),
        _command(
            "cancel",
            _cancel,
            "End a campaign for good: whoever has not been texted is not.\n\nWhat is under way comes back.",
            id_argument(),
            _reason(),
        ),
        resolve,
        report,
        export,
        _command("log", _log, "Show what happened to a campaign, and who decided it.", id_argument()),
    ],
)
"""The group."""
