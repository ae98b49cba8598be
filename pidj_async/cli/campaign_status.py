"""How far a campaign is: as JSON, in words, and as an exit code."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click

from pidj_async._masking import mask_phone_numbers_in
from pidj_async.campaigns.states import CampaignState, RecipientState
from pidj_async.cli.exits import HELD_UP, IN_DOUBT, NothingFoundError
from pidj_async.cli.options import as_json, shown_store
from pidj_async.cli.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pidj_async.campaigns.campaign import Campaign
    from pidj_async.campaigns.records import CampaignStatus
    from pidj_async.client import Pidj
    from pidj_async.store import Store

__all__ = ["command_line", "ended", "find", "in_words", "tell_status"]


async def find(store: Store, id: str, *, client: Pidj | None = None) -> Campaign:
    """Find a campaign in a store.

    Raises:
        NothingFoundError: There is none of this name.
    """
    from pidj_async.campaigns.campaign import Campaign  # noqa: PLC0415  `pidj --help` needs no database
    from pidj_async.campaigns.ledger import Ledger  # noqa: PLC0415

    if await Ledger(store).find(id) is None:
        msg = f"there is no campaign {id!r} in {shown_store(store)}; 'pidj campaign list' lists those that are"
        raise NothingFoundError(msg)
    return await Campaign.find(store, id, client=client)


def _status_data(status: CampaignStatus) -> dict[str, Any]:
    """Turn a status into what JSON can hold. The shape is a promise; ``invalid`` and ``duplicate`` are lines."""
    counts = {str(state): status.counts[state] for state in RecipientState}
    return {
        "id": status.id,
        "state": str(status.state),
        "reason": _reason(status),
        "counts": counts | {"invalid": status.invalid, "duplicate": status.duplicate},
        "next_due": None if status.next_due is None else status.next_due.isoformat(timespec="seconds"),
    }


def _reason(status: CampaignStatus) -> str | None:
    return None if status.reason is None else mask_phone_numbers_in(status.reason)


def in_words(counts: Mapping[RecipientState, int]) -> str:
    """Say how many recipients are in which state, those without any left out."""
    return ", ".join(f"{count:,} {_WORDS[state]}" for state in _WORDS if (count := counts.get(state, 0)))


_WORDS = {
    RecipientState.SENT: "sent",
    RecipientState.REJECTED: "rejected",
    RecipientState.IN_DOUBT: "in doubt",
    RecipientState.SUPPRESSED: "suppressed",
    RecipientState.EXPIRED: "expired",
    RecipientState.ABANDONED: "abandoned",
    RecipientState.CANCELLED: "cancelled",
    RecipientState.SENDING: "under way",
    RecipientState.PENDING: "waiting for their hours",
    RecipientState.READY: "waiting",
}


def tell_status(status: CampaignStatus) -> None:
    """Write a status to standard output, for whoever reads it, and on a person's how to go on."""
    from pidj_async.cli.output import show_record, write_json  # noqa: PLC0415  `pidj --help` shows no results

    data = _status_data(status)
    if as_json():
        write_json(data)
        return
    counts = data.pop("counts")
    lines = {"invalid lines": status.invalid, "duplicate lines": status.duplicate}
    shown = {_WORDS[state]: counts[state] for state in _WORDS} | lines
    show_record(data | {name: f"{count:,}" for name, count in shown.items() if count})
    for hint in _hints(status):
        click.echo(hint)


def _hints(status: CampaignStatus) -> list[str]:
    hints = []
    if doubtful := status.counts[RecipientState.IN_DOUBT]:
        what = "1 text is" if doubtful == 1 else f"{doubtful:,} texts are"
        hints.append(
            f"{what} in doubt, sent or not, and not sent again unless you decide so. To look and decide:\n"
            f"  {command_line('resolve', status.id)}"
        )
    if status.state is CampaignState.LOADING:
        hints.append(
            "Nobody was texted yet. Give 'pidj campaign run' again, with the same list: nobody is added twice."
        )
    elif status.state is not CampaignState.CANCELLED and (left := status.waiting):
        who = "1 person is" if left == 1 else f"{left:,} people are"
        hints.append(f"{who} still to be texted. To go on:\n  {command_line('resume', status.id)}")
    return hints


def command_line(name: str, id: str, *more: str) -> str:
    """Write the command that does something with this campaign, with the store and the address that were given.

    No secret is in it: a store's password is left out, and credentials are.
    """
    context = click.get_current_context()
    settings = context.ensure_object(Settings)
    words = ["pidj", "campaign", name, id, *more]
    given = context.get_parameter_source("store_url") is click.core.ParameterSource.COMMANDLINE
    if given and (url := context.params.get("store_url")):
        from sqlalchemy.engine import make_url  # noqa: PLC0415  `pidj --help` needs no database

        words += ["--store", make_url(url).render_as_string(hide_password=True)]
    if "base_url" in settings.given and settings.base_url:
        words += ["--base-url", settings.base_url]
    return shlex.join(words)


def ended(status: CampaignStatus) -> int:
    """Return the exit code that says how a run ended."""
    if status.state in {CampaignState.PAUSED, CampaignState.CANCELLED}:
        return HELD_UP
    return IN_DOUBT if status.counts[RecipientState.IN_DOUBT] else 0
