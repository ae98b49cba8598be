"""What is wrong with a list of recipients, and what texting it will come to, in words."""

from __future__ import annotations

import csv
from collections.abc import Callable, Generator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from pidj_async.cli.campaign_progress import duration

if TYPE_CHECKING:
    from pidj_async.campaigns.preflight import ForcingCharacter, PreflightReport
    from pidj_async.campaigns.settings import CampaignSettings
    from pidj_async.campaigns.sources import Problem

__all__ = ["problems_file", "tell_preflight"]

PROBLEMS_SHOWN: Final = 10
CHARACTERS_SHOWN: Final = 5
COLUMNS_SHOWN: Final = 10


def tell_preflight(report: PreflightReport, settings: CampaignSettings, price_per_segment: Decimal | None) -> None:
    """Write what was found to standard output.

    Args:
        report: What was found.
        settings: What the campaign is made with.
        price_per_segment: In any currency, if it is known.
    """
    from pidj_async.cli.output import show_record  # noqa: PLC0415  `pidj --help` shows no results

    show_record(
        {
            "lines": f"{report.lines:,}",
            "recipients": _recipients(report),
            "invalid": f"{report.invalid:,}" if report.invalid else None,
            "duplicate": f"{report.duplicate:,}" if report.duplicate else None,
            "suppressed": f"{report.suppressed:,}, who want no texts" if report.suppressed else None,
            "to be texted": f"{report.texts - report.known:,}" if not report.known else None,
            "segments": _segments(report),
            "longest text": f"{report.longest:,} characters (line {report.longest_line})" if report.longest else None,
            "cost": None if price_per_segment is None else _cost(report, price_per_segment),
            "duration": _duration(report, settings),
        }
    )
    for problem in report.problems[:PROBLEMS_SHOWN]:
        click.echo(f"line {problem.line}: {problem.reason}")
    if (more := report.invalid - PROBLEMS_SHOWN) > 0:
        click.echo(f"and {more:,} more invalid lines; --problems FILE writes all of them")
    for each in report.forced_by[:CHARACTERS_SHOWN]:
        click.echo(_forced_by(each))
    if (more := len(report.forced_by) - CHARACTERS_SHOWN) > 0:
        click.echo(f"and {more:,} more characters that need UCS-2")
    for names, what in (
        (report.unknown_fields, "no line has these merge fields, so everybody gets their defaults"),
        (report.unused_columns, "these columns are not used"),
    ):
        if names:
            click.echo(f"{what}: {_listed(names)}")


def _recipients(report: PreflightReport) -> str:
    known = f"; {report.known:,} of them are in the campaign already" if report.known else ""
    return f"{report.recipients:,}{known}"


def _segments(report: PreflightReport) -> str | None:
    if not report.segments:
        return None
    parts = [
        f"{texts:,} {'text' if texts == 1 else 'texts'} of {count}" for count, texts in report.segments_per_text.items()
    ]
    wide = sum(texts for encoding, texts in report.encodings.items() if str(encoding) != "GSM-7")
    need = f"; {wide:,} {'needs' if wide == 1 else 'need'} UCS-2" if wide else ""
    return f"{report.segments:,} ({', '.join(parts)}{need})"


def _forced_by(each: ForcingCharacter) -> str:
    texts = "1 text needs" if each.texts == 1 else f"{each.texts:,} texts need"
    way_out = {None: "", "": "; it can be left out"}.get(each.suggestion, f"; {each.suggestion!r} would not")
    return f"{texts} UCS-2 because of {each.description}, such as line {each.line}{way_out}"


def _cost(report: PreflightReport, price_per_segment: Decimal) -> str:
    cost = report.estimated_cost(price_per_segment)
    return f"about {cost:,.2f}, if each segment costs {price_per_segment}"


def _duration(report: PreflightReport, settings: CampaignSettings) -> str | None:
    if not report.texts:
        return None
    hours = "" if str(settings.hours) == "any" else f"; nobody is texted outside {settings.hours} of their own time"
    if settings.rate is None:
        return f"as fast as Pidj takes them{hours}"
    took = duration(report.estimated_seconds(settings.rate))
    return f"about {took} at {settings.rate:g} a second{hours}"


def _listed(names: tuple[str, ...]) -> str:
    from pidj_async.cli.output import printable  # noqa: PLC0415  see above

    more = "" if len(names) <= COLUMNS_SHOWN else f" and {len(names) - COLUMNS_SHOWN} more"
    return printable(", ".join(names[:COLUMNS_SHOWN])) + more


@contextmanager
def problems_file(path: str | None) -> Generator[Callable[[Problem], object] | None]:
    """Open ``--problems``, and hand out what writes one invalid line to it; ``None`` without the option.

    Args:
        path: The option's value.
    """
    if path is None:
        yield None
        return
    try:
        opened = Path(path).open("w", encoding="utf-8", newline="")  # noqa: SIM115  what goes wrong below is not this
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise click.UsageError(msg) from error
    with opened:
        writer = csv.writer(opened)
        writer.writerow(["line", "reason"])
        yield lambda problem: writer.writerow([problem.line, problem.reason])
