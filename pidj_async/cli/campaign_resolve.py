"""``pidj campaign resolve``: a person decides about texts that are in doubt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from pidj_async.campaigns.states import RecipientState
from pidj_async.cli.campaign_options import check_somebody_is_there, id_argument, yes_option
from pidj_async.cli.campaign_status import command_line, find
from pidj_async.cli.exits import Interrupted, NothingFoundError
from pidj_async.cli.masking import recipient_summary
from pidj_async.cli.options import as_json, run_on_store, store_option, unmask_option
from pidj_async.cli.settings import shared_options

if TYPE_CHECKING:
    from pidj_async.campaigns.records import RecipientRecord
    from pidj_async.store import Store

__all__ = ["resolve"]

Decision = Literal["sent", "abandoned", "resend"]

DECISIONS: Final[dict[Decision, RecipientState]] = {
    "sent": RecipientState.SENT,
    "abandoned": RecipientState.ABANDONED,
    "resend": RecipientState.READY,
}

SHOWN: Final = 50
_PAGE: Final = 1_000


def _resolve(
    *,
    id: str,
    phone_numbers: tuple[str, ...],
    decision: Decision | None,
    everybody: bool,
    note: str | None,
    yes: bool,
    store_url: str | None,
    unmask: bool,
) -> None:
    if decision is not None and not phone_numbers and not everybody:
        msg = "say which: their phone numbers, or --all"
        raise click.UsageError(msg)
    if phone_numbers and everybody:
        msg = "--all and phone numbers contradict each other; leave one of them out"
        raise click.UsageError(msg)
    if decision is None and (note is not None or yes):
        msg = "say what to decide: --as sent, --as abandoned, or --as resend"
        raise click.UsageError(msg)
    if decision == "resend":
        check_somebody_is_there(yes=yes)

    async def look(store: Store) -> list[RecipientRecord]:
        campaign = await find(store, id)
        wanted = {_normal(number, campaign.settings.region): number for number in phone_numbers}
        found = [each async for each in campaign.recipients({RecipientState.IN_DOUBT})]
        if not wanted:
            return found
        found = [each for each in found if each.phone_number in wanted]
        _check_all_found(wanted, found)
        return found

    chosen = run_on_store(store_url, look)
    shown = [recipient_summary(each, unmask=unmask) for each in chosen]
    if decision is None:
        _show(id, shown)
        return
    if not as_json():
        _show_some(shown)
    if chosen and decision == "resend" and not yes:
        _ask(len(chosen))

    async def decide(store: Store) -> int:
        campaign = await find(store, id)
        return sum(
            [
                await campaign.resolve(DECISIONS[decision], recipient_ids=page, note=note)
                for page in _pages([each.id for each in chosen])
            ]
        )

    _tell(id, decision, run_on_store(store_url, decide))


def _normal(number: str, region: str | None) -> str:
    from pidj_async.campaigns.numbers import normalize  # noqa: PLC0415  `pidj --help` knows no numbers

    return normalize(number, region)


def _check_all_found(wanted: dict[str, str], found: Sequence[RecipientRecord]) -> None:
    missing = wanted.keys() - {each.phone_number for each in found}
    if missing:
        from pidj_async._masking import mask_phone_number  # noqa: PLC0415  see above

        listed = ", ".join(sorted(map(mask_phone_number, missing)))
        msg = f"not in doubt in this campaign: {listed}. Nothing was decided; leave them out"
        raise NothingFoundError(msg)


def _ask(count: int) -> None:
    texts = "this text" if count == 1 else f"these {count:,} texts"
    click.echo(f"Whoever did get {texts} will get the same text a second time.", err=as_json())
    answer = click.prompt(
        f"To send again, type how many they are ({count})", default="", show_default=False, err=as_json()
    )
    if answer.strip().replace(",", "") != str(count):
        raise Interrupted(started=False)


def _pages(ids: Sequence[int]) -> Iterator[list[int]]:
    rest = iter(ids)
    while page := list(islice(rest, _PAGE)):
        yield page


def _show(id: str, shown: list[dict[str, Any]]) -> None:
    from pidj_async.cli.output import show_records, write_json  # noqa: PLC0415  `pidj --help` shows no results

    if as_json():
        write_json(shown)
        return
    show_records(shown, nothing="Nothing is in doubt.")
    if shown:
        click.echo("To decide, about some by their numbers or about --all:")
        for decision, meaning in _MEANINGS.items():
            click.echo(f"  {command_line('resolve', id, '--as', decision, '--all')}   # {meaning}")


_MEANINGS: Final[dict[Decision, str]] = {
    "sent": "they are known to have arrived",
    "abandoned": "nobody will ever know, and they are left at that",
    "resend": "send them again, to some for the second time",
}


def _show_some(shown: list[dict[str, Any]]) -> None:
    from pidj_async.cli.output import show_records  # noqa: PLC0415  see above

    show_records(shown[:SHOWN], nothing="Nothing is in doubt.")
    if len(shown) > SHOWN:
        click.echo(f"and {len(shown) - SHOWN:,} more")


def _tell(id: str, decision: Decision, count: int) -> None:
    from pidj_async.cli.output import write_json  # noqa: PLC0415  see above

    if as_json():
        write_json({"id": id, "as": decision, "resolved": count})
        return
    how = "to be sent again" if decision == "resend" else decision
    click.echo(f"{count:,} decided: {how}. Who did, and when, is in the log.")
    if decision == "resend" and count:
        click.echo(f"To send them:\n  {command_line('resume', id)}")


resolve = click.Command(
    "resolve",
    callback=_resolve,
    short_help="List the texts that are in doubt, and decide about them.",
    help="List the texts that are in doubt, and decide about them: some, by their phone numbers, or all.\n\n"
    "Without --as they are only listed. Who decided what is in the campaign's log.",
    params=[
        id_argument(),
        click.Argument(["phone_numbers"], nargs=-1, metavar="[PHONE_NUMBER]..."),
        click.Option(
            ["--as", "decision"],
            type=click.Choice(list(DECISIONS)),
            help="sent: they are known to have arrived. abandoned: they are left at that. resend: send them again, "
            "even if the first ones may have arrived.",
        ),
        click.Option(["--all", "everybody"], is_flag=True, help="Decide about all that are in doubt."),
        click.Option(["--note"], metavar="TEXT", help="Why, for the log."),
        yes_option("Do not ask before sending again."),
        store_option(),
        unmask_option("Show the numbers."),
        *shared_options(before_command=False, connection=False),
    ],
)
"""The command."""
