"""``pidj campaign report`` and ``export``: what became of a campaign, as a page and as a table."""

from __future__ import annotations

import csv
import sys
from collections.abc import Generator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

import click

from pidj_async.campaigns.states import RecipientState
from pidj_async.cli.campaign_options import Price, id_argument
from pidj_async.cli.campaign_status import find
from pidj_async.cli.masking import recipient_summary
from pidj_async.cli.options import as_json, run_on_store, store_option, unmask_option
from pidj_async.cli.settings import shared_options

if TYPE_CHECKING:
    from pidj_async.campaigns.figures import CampaignReport
    from pidj_async.store import Store

__all__ = ["export", "report"]

STREAM: Final = "-"

COLUMNS: Final[tuple[str, ...]] = (
    "phone_number",
    "state",
    "cause",
    "error",
    "line",
    "segments",
    "attempts",
    "claimed_at",
    "settled_at",
    "seconds",
)
"""The columns of an export, in their order: what `recipient_summary` says of somebody."""


# --- report -------------------------------------------------------------------------------------------------------


def _report(
    *,
    id: str,
    html: str,
    price_per_segment: Decimal | None,
    currency: str,
    store_url: str | None,
    unmask: bool,
) -> None:
    _check_streams(html)

    async def look(store: Store) -> CampaignReport:
        from pidj_async.campaigns.statistics import report_of  # noqa: PLC0415  `pidj --help` needs no database

        await find(store, id)
        price = None if price_per_segment is None else float(price_per_segment)
        return await report_of(store, id, price_per_segment=price, currency=currency, unmask=unmask)

    found = run_on_store(store_url, look)

    from pidj_async.campaigns.report import render_html  # noqa: PLC0415  `pidj --help` draws nothing

    with _written(html) as page:
        page.write(render_html(found))
    if as_json():
        from pidj_async.cli.output import write_json  # noqa: PLC0415

        write_json(found.to_json())
    elif html != STREAM:
        click.echo(f"The report is in {html}.", err=True)


# --- export -------------------------------------------------------------------------------------------------------


def _export(*, id: str, file: str, states: tuple[str, ...], store_url: str | None, unmask: bool) -> None:
    _check_streams(file)

    async def write(store: Store) -> int:
        campaign = await find(store, id)
        wanted = {RecipientState(state) for state in states} or None
        count = 0
        with _written(file) as target:
            writer: csv.DictWriter[str] = csv.DictWriter(target, COLUMNS)
            writer.writeheader()
            async for recipient in campaign.recipients(wanted):
                writer.writerow(_harmless(recipient_summary(recipient, unmask=unmask)))
                count += 1
        return count

    count = run_on_store(store_url, write)
    if as_json():
        from pidj_async.cli.output import write_json  # noqa: PLC0415

        write_json({"id": id, "exported": count})
    else:
        masked = "" if unmask else "; numbers are masked, --unmask writes them whole"
        click.echo(f"{count:,} exported{masked}.", err=True)


def _harmless(row: dict[str, Any]) -> dict[str, Any]:
    """Keep a spreadsheet from taking what Pidj answered for a formula. A number's plus is no danger."""
    error = row["error"]
    return row | {"error": f"'{error}"} if error and error[0] in "=+-@\t\r" else row


def _check_streams(file: str) -> None:
    if as_json() and file == STREAM:
        msg = "with --json, standard output is JSON; write to a file"
        raise click.UsageError(msg)


@contextmanager
def _written(file: str) -> Generator[TextIO]:
    if file == STREAM:
        import io  # noqa: PLC0415  `pidj --help` writes no files

        stream = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="")
        try:
            yield stream
        finally:
            stream.detach()  # it flushes, and leaves open what is not ours
        return
    try:
        opened = Path(file).open("w", encoding="utf-8", newline="")  # noqa: SIM115  what goes wrong below is not this
    except OSError as error:
        msg = f"{file}: {error.strerror}"
        raise click.UsageError(msg) from error
    with opened:
        yield opened


# --- the commands -------------------------------------------------------------------------------------------------


def _shared() -> list[click.Parameter]:
    return [store_option(), unmask_option("Show the numbers."), *shared_options(before_command=False, connection=False)]


report = click.Command(
    "report",
    callback=_report,
    short_help="Write a page that says what came of a campaign.",
    help="Write a page that says what came of a campaign, for whoever wants to read it; one file, with its charts.\n\n"
    "With --json, its figures are on standard output too.",
    params=[
        id_argument(),
        click.Option(["--html"], metavar="FILE", required=True, help="Where to write it; - is standard output."),
        click.Option(["--price-per-segment"], type=Price(), help="What a segment costs."),
        click.Option(["--currency"], default="USD", show_default=True, help="In which money."),
        *_shared(),
    ],
)
"""The command."""

export = click.Command(
    "export",
    callback=_export,
    short_help="Write what became of each recipient, as a CSV.",
    help="Write what became of each recipient, as a CSV; - is standard output.",
    params=[
        id_argument(),
        click.Argument(["file"], metavar="FILE"),
        click.Option(
            ["--state", "states"],
            type=click.Choice([str(state) for state in RecipientState]),
            multiple=True,
            help="Only those in this state; may be repeated.",
        ),
        *_shared(),
    ],
)
"""The command."""
