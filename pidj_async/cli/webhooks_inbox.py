"""``pidj webhooks inbox`` and ``shapes``: what came, what became of it, and once more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import attrs
import click

from pidj_async.cli.exits import NothingFoundError
from pidj_async.cli.masking import record_details, record_summary
from pidj_async.cli.options import Moment, as_json, run_on_store, store_option, unmask_option
from pidj_async.cli.settings import shared_options
from pidj_async.webhooks.inbox.records import STATES, InboxRecord, State

if TYPE_CHECKING:
    from pidj_async.store import Store
    from pidj_async.webhooks.inbox import Inbox
    from pidj_async.webhooks.shapes import Shapes

__all__ = ["inbox", "shapes"]


def _inbox_of(store: Store) -> Inbox:
    from pidj_async.webhooks.inbox import Inbox  # noqa: PLC0415  `pidj --help` needs no database

    return Inbox(store)


def _show(records: Sequence[InboxRecord], *, unmask: bool, nothing: str) -> None:
    from pidj_async.cli.output import show_records, write_json  # noqa: PLC0415  `pidj --help` shows no results

    shown = [record_summary(each, unmask=unmask) for each in records]
    if as_json():
        write_json(shown)
    else:
        show_records(shown, nothing=nothing)


# --- looking ------------------------------------------------------------------------------------------------------


def _list(
    *,
    store_url: str | None,
    state: State | None,
    event: str | None,
    phone_number: str | None,
    since: datetime | None,
    until: datetime | None,
    before: int | None,
    limit: int,
    unmask: bool,
) -> None:
    async def find(store: Store) -> tuple[InboxRecord, ...]:
        return await _inbox_of(store).list(
            state=state,
            event=event,
            phone_number=phone_number,
            since=since,
            until=until,
            before=before,
            limit=limit,
        )

    _show_page(run_on_store(store_url, find), limit, unmask=unmask, nothing="No events.")


def _dead(*, store_url: str | None, before: int | None, limit: int, unmask: bool) -> None:
    async def find(store: Store) -> tuple[InboxRecord, ...]:
        return await _inbox_of(store).dead(before=before, limit=limit)

    _show_page(run_on_store(store_url, find), limit, unmask=unmask, nothing="No dead events.")


def _show_page(records: Sequence[InboxRecord], limit: int, *, unmask: bool, nothing: str) -> None:
    _show(records, unmask=unmask, nothing=nothing)
    if len(records) == limit and not as_json():
        click.echo(f"There may be more: --before {records[-1].id}", err=True)


def _show_one(*, store_url: str | None, event_id: int, unmask: bool) -> None:
    async def find(store: Store) -> InboxRecord | None:
        return await _inbox_of(store).get(event_id)

    record = run_on_store(store_url, find)
    if record is None:
        msg = f"there is no event {event_id} in the inbox"
        raise NothingFoundError(msg)
    details = record_details(record, unmask=unmask)

    from pidj_async.cli.output import console, show_record, write_json  # noqa: PLC0415

    if as_json():
        write_json(details)
        return
    import json  # noqa: PLC0415

    from rich.text import Text  # noqa: PLC0415

    body = details.pop("body")
    show_record(details)
    console().print(Text("\n" + json.dumps(body, indent=2)))  # in ASCII: nothing in it can steer the terminal


def _shapes(*, store_url: str | None) -> None:
    async def read(store: Store) -> Shapes:
        return await _inbox_of(store).shapes()

    found = run_on_store(store_url, read)

    from pidj_async.cli.output import show_records, write_json  # noqa: PLC0415

    if as_json():
        write_json(attrs.asdict(found))
        return
    show_records([attrs.asdict(each) for each in found.unknown_events], nothing="No unknown events.")
    click.echo()
    show_records([attrs.asdict(each) for each in found.unknown_fields], nothing="No unknown fields.")
    if found.overflow:
        click.echo(f"\n{found.overflow} more were only counted: there were too many different names.")


# --- mending ------------------------------------------------------------------------------------------------------


def _again(
    *,
    store_url: str | None,
    ids: tuple[int, ...],
    dry_run: bool,
    unmask: bool,
    **wanted: Any,
) -> None:
    async def replay(store: Store) -> tuple[InboxRecord, ...]:
        return await _inbox_of(store).replay(*ids, dry_run=dry_run, **wanted)

    if not ids and all(value is None for value in wanted.values()):
        msg = "say which events: their ids, or --state, --event, --phone-number, --since, --until"
        raise click.UsageError(msg)
    chosen = run_on_store(store_url, replay)
    _show(chosen, unmask=unmask, nothing="No events.")
    if chosen and not as_json():
        what = "would be" if dry_run else "will be"
        click.echo(f"{len(chosen)} {what} handled again.", err=True)
    missing = sorted(set(ids) - {each.id for each in chosen})
    if missing:
        listed = ", ".join(map(str, missing))
        msg = (
            f"left out: {listed}. There is no such event, it is not among those asked for, or a worker has it just now"
        )
        raise NothingFoundError(msg)


def _retry(**given: Any) -> None:
    _again(state="dead", **given)


def _prune(*, store_url: str | None, before: datetime, yes: bool) -> None:
    async def prune(store: Store) -> int:
        return await _inbox_of(store).prune(before=before, dry_run=not yes)

    count = run_on_store(store_url, prune)
    if as_json():
        from pidj_async.cli.output import write_json  # noqa: PLC0415  `pidj --help` shows no results

        write_json({"count": count, "deleted": yes, "before": before.isoformat()})
    else:
        events = "event" if count == 1 else "events"
        click.echo(f"{count} {events} deleted." if yes else f"{count} {events} would be deleted; say --yes to do it.")


# --- the commands -------------------------------------------------------------------------------------------------


def _filters(*, state: bool) -> list[click.Parameter]:
    options: list[click.Parameter] = [
        click.Option(["--event"], metavar="NAME", help="Events of this name on the wire, such as text-received."),
        click.Option(["--phone-number"], metavar="NUMBER", help="Events about this person, in E.164 format."),
        click.Option(
            ["--since"],
            type=Moment(),
            help="Events that came then or later: 2026-01-31T18:00 (of this machine's zone unless it says otherwise), "
            "or 2h for two hours ago; s, m, h, d, w.",
        ),
        click.Option(["--until"], type=Moment(), help="Events that came before then."),
    ]
    if state:
        options.insert(0, click.Option(["--state"], type=click.Choice(STATES), help="Events in this state."))
    return options


def _paging() -> list[click.Parameter]:
    return [
        click.Option(
            ["--limit"], type=click.IntRange(1, 100_000), default=50, show_default=True, help="How many at most."
        ),
        click.Option(["--before"], type=int, metavar="ID", help="Only events with lower ids: the next page."),
    ]


def _command(
    name: str, callback: Callable[..., None], help: str, *params: click.Parameter, shows_events: bool = True
) -> click.Command:
    unmask = [unmask_option()] if shows_events else []
    shared = [store_option(), *unmask, *shared_options(before_command=False, connection=False)]
    return click.Command(name, callback=callback, help=help, params=[*params, *shared])


_IDS = click.Argument(["ids"], type=int, nargs=-1, metavar="[ID]...")
_DRY_RUN = click.Option(["--dry-run"], is_flag=True, help="Only show which.")

inbox = click.Group(
    "inbox",
    short_help="list, show, replay, dead, retry, prune",
    help="The events that came, and what became of them.",
    commands=[
        _command("list", _list, "List events, the newest first.", *_filters(state=True), *_paging()),
        _command(
            "show",
            _show_one,
            "Show everything about an event, its body included.",
            click.Argument(["event_id"], type=int, metavar="ID"),
        ),
        _command(
            "replay",
            _again,
            "Have events handled again, whatever has become of them.\n\nWhich ones, their ids say, or the options, "
            "all of which must be so. A running worker takes them up; the suppression list does not change.",
            _IDS,
            *_filters(state=True),
            _DRY_RUN,
        ),
        _command("dead", _dead, "List the events that failed too often, the newest first.", *_paging()),
        _command(
            "retry",
            _retry,
            "Have dead events handled again: all of them, or those that are said.",
            _IDS,
            *_filters(state=False),
            _DRY_RUN,
        ),
        _command(
            "prune",
            _prune,
            "Delete old events that have been handled or skipped. All others stay.\n\n"
            "Without --yes, it only says how many there are.",
            click.Option(
                ["--older-than", "before"],
                type=Moment(),
                required=True,
                help="Events that came before then: 90d for ninety days ago (s, m, h, d, w), or 2026-01-31T18:00.",
            ),
            click.Option(["--yes"], is_flag=True, help="Delete them."),
            shows_events=False,
        ),
    ],
)
"""The group."""

shapes = click.Command(
    "shapes",
    callback=_shapes,
    short_help="Show the unknown events and fields that came, with counts.",
    help="Show the events and fields that came and that this version has no name for, with counts.\n\n"
    "Only names and JSON types were kept, never a value.",
    params=[store_option(), *shared_options(before_command=False, connection=False)],
)
"""The command."""
