"""``pidj campaign run`` and ``resume``: what sends.

The rules:

1. Nobody is texted before a person has seen what was found and said yes, or ``--yes`` was given.
2. A list is added to the campaign after that, and adding is idempotent: the same command again goes on.
3. Ctrl-C lets what is under way come back, a second one cuts it off. What ends it says how to go on.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs
import click

from pidj_async.cli.campaign_options import (
    Price,
    check_somebody_is_there,
    concurrency_option,
    id_argument,
    yes_option,
)
from pidj_async.cli.campaign_preflight import problems_file, tell_preflight
from pidj_async.cli.campaign_progress import Display
from pidj_async.cli.campaign_status import command_line, ended, find, in_words, tell_status
from pidj_async.cli.exits import INTERRUPTED, Interrupted
from pidj_async.cli.interrupts import on_stop_signals
from pidj_async.cli.options import Moment, as_json, database_file, run_on_store, store_option
from pidj_async.cli.settings import Settings, shared_options
from pidj_async.errors import ConfigurationError, InvalidRequestError

if TYPE_CHECKING:
    from decimal import Decimal

    from pidj_async.campaigns.campaign import Campaign
    from pidj_async.campaigns.preflight import PreflightReport
    from pidj_async.campaigns.records import CampaignStatus
    from pidj_async.campaigns.settings import CampaignSettings
    from pidj_async.campaigns.sources import Problem, Source
    from pidj_async.client import Pidj
    from pidj_async.store import Store

__all__ = ["resume", "run"]

R = TypeVar("R")

STREAM: Final = "-"
CONTACTS: Final = "contacts:"
_TAG: Final = "tag="
_LONGEST_NAME: Final = 60


# --- run --------------------------------------------------------------------------------------------------------------


def _run(
    *,
    recipients: str,
    name: str | None,
    store_url: str | None,
    dry_run: bool,
    yes: bool,
    problems: str | None,
    price_per_segment: Decimal | None,
    **given: Any,
) -> int:
    settings = _settings(given)
    _check_source(recipients, asks=not (yes or dry_run))
    if not dry_run:
        click.get_current_context().ensure_object(Settings).credentials()
        check_somebody_is_there(yes=yes)
    with problems_file(problems) as on_problem:
        plan = _Plan(name or _default_id(recipients), recipients, settings, on_problem)
        if dry_run:
            report, _ = _uninterrupted(lambda: _on_existing_store(store_url, plan.check))
            return _tell_dry_run(report, settings, price_per_segment)
        if not yes:
            report, before = _uninterrupted(lambda: _on_existing_store(store_url, plan.check))
            _tell(report, settings, price_per_segment)
            _ask(report, before)
            plan = attrs.evolve(plan, on_problem=None)  # they have been written
        # Nothing is kept before that: who says no has no half-made campaign in the store.
        report = _uninterrupted(lambda: run_on_store(store_url, plan.add, create=True))
    if yes:
        _tell(report, settings, price_per_segment)
    if not as_json():
        click.echo(
            f"Campaign {plan.id}. If this ends before it is done, go on with:\n  {command_line('resume', plan.id)}"
        )
    return _send(store_url, plan.id, None)


@attrs.frozen
class _Plan:
    """Whom to text what."""

    id: str
    recipients: str
    settings: CampaignSettings
    on_problem: Callable[[Problem], object] | None

    async def check(self, store: Store) -> tuple[PreflightReport, CampaignStatus | None]:
        """Look what is in the list, and how far the campaign is, if it is in the store already."""
        from pidj_async.campaigns.ledger import Ledger  # noqa: PLC0415  `pidj --help` texts nobody

        async with self._campaign(store) as (campaign, source):
            report = await campaign.preflight(source, on_problem=self.on_problem)
        ledger = Ledger(store)
        record = await ledger.find(self.id)
        return report, None if record is None else await ledger.status(record.number)

    async def add(self, store: Store) -> PreflightReport:
        """Make the campaign, if it is not there, and add who is in the list."""
        async with self._campaign(store) as (campaign, source):
            return await campaign.add(source, name=self.recipients, on_problem=self.on_problem)

    @asynccontextmanager
    async def _campaign(self, store: Store) -> AsyncGenerator[tuple[Campaign, Source]]:
        from pidj_async.campaigns.campaign import Campaign  # noqa: PLC0415  see above
        from pidj_async.campaigns.sources import from_contacts  # noqa: PLC0415

        campaign = Campaign(store, self.id, **attrs.asdict(self.settings, recurse=False))
        if not _is_contacts(self.recipients):
            yield campaign, self.recipients
            return
        async with _client() as client:
            yield campaign, from_contacts(client, tag=self.recipients.removeprefix(CONTACTS).removeprefix(_TAG) or None)


def _settings(given: dict[str, Any]) -> CampaignSettings:
    from pidj_async.campaigns.settings import CampaignSettings  # noqa: PLC0415  `pidj --help` texts nobody

    try:
        return CampaignSettings(**given)
    except InvalidRequestError as error:
        raise _in_words_of_the_command(error) from None


_FIELD: Final = re.compile(r"\b(group_id|from_number|ends_at|check_consent|max_in_doubt)\b")


def _in_words_of_the_command(error: InvalidRequestError) -> InvalidRequestError:
    def option(name: str) -> str:
        return "--" + name.replace("_", "-")

    problem = _FIELD.sub(lambda found: option(found.group()), error.problem)
    field = option(error.field) if error.field in attrs.fields_dict(_settings_class()) else error.field
    told = InvalidRequestError(field, problem, value=error.value)
    told.field = error.field
    return told


def _settings_class() -> type[CampaignSettings]:
    from pidj_async.campaigns.settings import CampaignSettings  # noqa: PLC0415  see `_settings`

    return CampaignSettings


def _check_source(recipients: str, *, asks: bool) -> None:
    """Make sure that there is such a source, and that it can be read twice if somebody is to be asked in between."""
    if _is_contacts(recipients):
        wanted = recipients.removeprefix(CONTACTS)
        if wanted and not (wanted.startswith(_TAG) and wanted != _TAG):
            msg = f"write contacts: for all contacts, or contacts:tag=VIP for those with a tag; got {recipients!r}"
            raise click.UsageError(msg)
        return
    path = Path(recipients)
    if recipients != STREAM and (not path.exists() or path.is_dir()):
        msg = f"there is no file {recipients!r}. RECIPIENTS is a CSV or JSON Lines, - for standard input, or contacts:"
        raise click.UsageError(msg)
    if asks and (recipients == STREAM or not path.is_file()):
        msg = f"{recipients!r} can be read only once, so nobody can be asked in between; pass --yes to go ahead"
        raise click.UsageError(msg)


def _is_contacts(recipients: str) -> bool:
    return recipients.startswith(CONTACTS)


def _default_id(recipients: str) -> str:
    """Make a name of the list's and of today's date: the same command again on the same day goes on."""
    if recipients == STREAM:
        name = "stdin"
    elif _is_contacts(recipients):
        name = recipients.replace(":tag=", "-").rstrip(":")
    else:
        name = Path(recipients).stem
    name = re.sub(r"[^\w.-]+", "-", name).strip("-.")[:_LONGEST_NAME] or "campaign"
    return f"{name}-{datetime.now().astimezone():%Y-%m-%d}"


def _client() -> Pidj:
    from pidj_async.client import Pidj  # noqa: PLC0415  `pidj --help` calls nobody

    account_key, token, base_url = click.get_current_context().ensure_object(Settings).credentials()
    return Pidj(account_key=account_key, token=token, base_url=base_url, user_agent="pidj-cli")


def _on_existing_store(url: str | None, work: Callable[[Store], Awaitable[R]]) -> R:
    """Look into the store, if there is one; else into an empty one that goes away: looking makes no store."""
    file = database_file(url)
    if file is None or file.exists():
        return run_on_store(url, work, create=True)
    import tempfile  # noqa: PLC0415  `pidj --help` makes no files

    with tempfile.TemporaryDirectory(prefix="pidj-") as folder:
        return run_on_store(f"sqlite:///{folder}/empty.db", work, create=True)


def _uninterrupted(work: Callable[[], R]) -> R:
    try:
        return work()
    except KeyboardInterrupt:
        raise Interrupted(started=False) from None


def _tell(report: PreflightReport, settings: CampaignSettings, price_per_segment: Decimal | None) -> None:
    if not as_json():
        tell_preflight(report, settings, price_per_segment)
    if not report.recipients:
        msg = "there is nobody to text in this list"
        raise ConfigurationError(msg)


def _tell_dry_run(report: PreflightReport, settings: CampaignSettings, price_per_segment: Decimal | None) -> int:
    if as_json():
        from pidj_async.cli.output import write_json  # noqa: PLC0415  `pidj --help` shows no results

        data = report.to_json()
        if price_per_segment is not None:
            data["estimated_cost"] = float(report.estimated_cost(price_per_segment))
        if settings.rate is not None:
            data["estimated_seconds"] = report.estimated_seconds(settings.rate)
        write_json(data)
    else:
        tell_preflight(report, settings, price_per_segment)
        click.echo("A dry run: nobody was texted, and nothing was kept.")
    return 0


def _ask(report: PreflightReport, before: CampaignStatus | None) -> None:
    if before is not None:
        click.echo(f"The campaign is in the store already ({in_words(before.counts) or 'empty'}).", err=as_json())
    most = "up to " if before is not None else ""
    who = "1 person" if report.texts == 1 else f"{report.texts:,} people"
    if not click.confirm(f"Text {most}{who}?", err=as_json()):
        raise Interrupted(started=False)


# --- resume -----------------------------------------------------------------------------------------------------------


def _resume(*, id: str, store_url: str | None, concurrency: int | None, yes: bool) -> int:
    click.get_current_context().ensure_object(Settings).credentials()
    check_somebody_is_there(yes=yes)

    async def look(store: Store) -> CampaignStatus:
        return await (await find(store, id)).status()

    status = run_on_store(store_url, look)
    if not yes:
        click.echo(f"Campaign {id}: {in_words(status.counts) or 'nobody was added'}.", err=as_json())
        who = "1 person" if status.waiting == 1 else f"{status.waiting:,} people"
        if not click.confirm(f"Text {who}?", err=as_json()):
            raise Interrupted(started=False)
    return _send(store_url, id, concurrency)


# --- both -------------------------------------------------------------------------------------------------------------


def _send(store_url: str | None, id: str, concurrency: int | None) -> int:
    display = Display(quiet=as_json())
    stops = _Stops(display)

    async def send(store: Store) -> CampaignStatus:
        async with _client() as client:
            campaign = await find(store, id, client=client)
            with stops.heeded(campaign), display.running():
                return await campaign.run(concurrency=concurrency, on_progress=display.update)

    status = run_on_store(store_url, send, create=True)
    tell_status(status)
    return INTERRUPTED if stops.count and status.waiting else ended(status)


class _Stops:
    """What Ctrl-C and SIGTERM do while texts go out."""

    def __init__(self, display: Display) -> None:
        self.count = 0
        self._display = display

    def heeded(self, campaign: Campaign) -> Any:
        """Stop the campaign the first time, abort it the second time."""
        import asyncio  # noqa: PLC0415  `pidj --help` waits for nothing

        loop = asyncio.get_running_loop()
        return on_stop_signals(lambda: loop.call_soon_threadsafe(self._stop, campaign))

    def _stop(self, campaign: Campaign) -> None:
        self.count += 1
        if self.count > 1:
            campaign.abort()
            self._display.tell("Cut off. What was under way is in doubt, unless it is known not to have been sent.")
        else:
            campaign.stop()
            self._display.tell(f"Stopping. {_under_way(self._display.in_flight)}")


def _under_way(count: int) -> str:
    if not count:
        return "Nothing is under way."
    if count == 1:
        return "1 text is under way; Ctrl-C once more cuts it off, and it is in doubt."
    return f"{count:,} texts are under way; Ctrl-C once more cuts them off, and they are in doubt."


# --- the commands -----------------------------------------------------------------------------------------------------


def _shared() -> list[click.Parameter]:
    return [store_option(), *shared_options(before_command=False)]


run = click.Command(
    "run",
    callback=_run,
    short_help="Check a list of recipients, and text them.",
    help="Check a list of recipients, say what was found, ask, and text them.\n\n"
    "RECIPIENTS is a CSV or JSON Lines with phone_number (- is standard input); the other columns are merge fields. "
    "contacts: are all of Pidj's contacts, contacts:tag=VIP those with a tag. The same command again goes on where it "
    "was: nobody is texted twice, and whoever opted out is not texted at all.",
    params=[
        click.Argument(["recipients"]),
        click.Option(
            ["--text"],
            required=True,
            help="What to send. {first_name} is a merge field, {first_name|there} has a default, {{ and }} are braces.",
        ),
        click.Option(["--group-id"], metavar="ID", help="The group to text from (gr:…); this or --from-number."),
        click.Option(["--from-number"], metavar="NUMBER", help="The number to text from, in E.164 format."),
        click.Option(
            ["--id", "name"], metavar="NAME", help="The campaign's name; the list's and today's date if left out."
        ),
        click.Option(
            ["--hours"],
            default="8:00-21:00",
            show_default=True,
            help="When people may be texted, in their own time; 'any' for always. Who may not be now, is waited for.",
        ),
        click.Option(
            ["--ends-at"], type=Moment(ago=False), help="After this nobody is texted: 2026-01-31T18:00-05:00."
        ),
        click.Option(
            ["--region"],
            default="US",
            show_default=True,
            metavar="CC",
            help="Where numbers without a country code are from.",
        ),
        click.Option(
            ["--rate"],
            type=click.FloatRange(0, min_open=True),
            help="Texts a second, at most; as many as Pidj takes if left out.",
        ),
        concurrency_option("; after a crash so many can be in doubt.", 100),
        click.Option(
            ["--check-consent"], is_flag=True, help="Ask Pidj before each text whether the contact has consented."
        ),
        click.Option(
            ["--max-in-doubt"],
            type=click.IntRange(0),
            default=100,
            show_default=True,
            help="How many texts of a run may be in doubt before the campaign pauses itself.",
        ),
        click.Option(
            ["--price-per-segment"], type=Price(), help="What a segment costs, for an estimate; in any currency."
        ),
        click.Option(["--problems"], metavar="FILE", help="Write all invalid lines there, as a CSV with reasons."),
        click.Option(["--dry-run"], is_flag=True, help="Only check the list; nobody is texted, and nothing is kept."),
        yes_option("Text without asking."),
        *_shared(),
    ],
)
"""The command."""

resume = click.Command(
    "resume",
    callback=_resume,
    short_help="Go on with a campaign, after any kind of end.",
    help="Go on with a campaign, after any kind of end: Ctrl-C, a pause, a crash.\n\n"
    "What was under way when it crashed is in doubt, and not sent again.",
    params=[
        id_argument(),
        concurrency_option("; as when it was made if left out."),
        yes_option("Text without asking."),
        *_shared(),
    ],
)
"""The command."""
