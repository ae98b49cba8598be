"""``pidj demo``: the whole product on a sandbox of its own, told as it happens, and counted twice in the end.

``demo_play`` has what happens, ``demo_books`` the sums that must come out right.
"""

from __future__ import annotations

import os
import secrets
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from pidj_async.cli.settings import Settings, shared_options

if TYPE_CHECKING:
    from rich.console import Console

    from pidj_async.campaigns.figures import CampaignReport
    from pidj_async.campaigns.preflight import PreflightReport
    from pidj_async.cli.demo_books import Books, Check

__all__ = ["demo"]

INVALID_SHOWN: Final = 5


class _Stage:
    """What is told while it happens. Programs are told nothing."""

    def __init__(self, screen: Console | None) -> None:
        self.screen = screen

    def tell(self, what: str, detail: str = "") -> None:
        """Print a line."""
        if self.screen is not None:
            self.screen.print(f"[bold]{what:<14}[/]{detail}", soft_wrap=True)


def _tell_list(stage: _Stage, report: PreflightReport) -> None:
    stage.tell(
        "The list",
        f"{report.lines:,} lines: {report.recipients:,} recipients, {report.invalid} invalid, "
        f"{report.duplicate} duplicate",
    )
    if stage.screen is None:
        return
    for each in report.problems[:INVALID_SHOWN]:
        stage.screen.print(f"{'':<14}line {each.line}: {each.reason}", style="dim", markup=False, soft_wrap=True)
    if (more := report.invalid - INVALID_SHOWN) > 0:
        stage.screen.print(f"{'':<14}and {more} more", style="dim")
    wide = sum(texts for encoding, texts in report.encodings.items() if str(encoding) != "GSM-7")
    culprits = " ".join(each.character for each in report.forced_by)
    stage.tell("Segments", f"{report.segments:,} for {report.texts:,} texts; {wide} need UCS-2, because of {culprits}")


def _tell_report(stage: _Stage, report: CampaignReport) -> None:
    if stage.screen is None:
        return
    for each in report.outcomes:
        if each.cause is not None:
            why = f"{str(each.state).replace('_', ' ')}: {each.cause}"
            stage.screen.print(f"{'':<14}{each.recipients:>5,}  {why}", style="dim", markup=False)
    if report.latency is not None:
        milliseconds = [f"{took / 1e3:,.0f}" for took in (report.latency.p50, report.latency.p95, report.latency.p99)]
        stage.tell("Latency", f"{' / '.join(milliseconds)} ms: half, 95 % and 99 % of the calls took no longer")


def _show(screen: Console, checks: tuple[Check, ...]) -> None:
    from rich import box  # noqa: PLC0415  see `_demo`
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("")
    table.add_column("what was counted")
    table.add_column("count", justify="right")
    table.add_column("is the sum of")
    for check in checks:
        mark = "[green]✓[/]" if check.adds_up else "[bold red]✗[/]"
        parts = " + ".join(f"{count:,} {name}" for count, name in check.parts)
        table.add_row(mark, check.name, f"{check.total:,}", parts)
    screen.print(table)


async def _perform(stage: _Stage) -> tuple[Books, str]:
    """Play all of it, and return what was counted and the report's page."""
    from pidj_async.campaigns.report import render_html  # noqa: PLC0415  see `_demo`
    from pidj_async.campaigns.wording import headline  # noqa: PLC0415
    from pidj_async.cli.campaign_progress import Display  # noqa: PLC0415
    from pidj_async.cli.demo_play import CONCURRENCY, Play  # noqa: PLC0415
    from pidj_async.sandbox import Sandbox  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="pidj-demo-") as folder:
        # Credentials of its own: nobody's account is involved, whatever the environment holds.
        async with Sandbox(account_key="demo", token=secrets.token_urlsafe()) as sandbox:
            stage.tell("Sandbox", sandbox.base_url)
            play = Play(folder, sandbox)
            books = play.books
            try:
                _tell_list(stage, await play.check_list())
                play.say_stop_elsewhere()
                async with play.receiving() as url:
                    stage.tell("Webhooks", f"to a receiver at {url}, with a secret, into an inbox on SQLite")
                    await play.say_stop_before()
                    stage.tell(
                        "Before",
                        f"{len(books.said_before)} people have said STOP, and are on the suppression list; "
                        f"{len(books.said_elsewhere)} have, and only Pidj knows",
                    )
                    arrived = await play.crash()
                    stage.tell(
                        "Killed", f"the process that sent, {CONCURRENCY} at a time, when {arrived} texts were there"
                    )
                    await play.say_stop_meanwhile()
                    stage.tell("Meanwhile", f"{len(books.said_meanwhile)} more said STOP, before it was their turn")
                    is_terminal = stage.screen is not None and stage.screen.is_terminal
                    display = Display(quiet=not is_terminal, screen=stage.screen)
                    with display.running():
                        await play.go_on(display.update)
                    stage.tell(
                        "Resumed",
                        f"and done, although {books.lost} replies were lost and {books.throttled} requests were told "
                        "to slow down",
                    )
                    stage.tell(
                        "Answered",
                        f"{books.answers_said} people answered, {len(books.said_after)} said STOP",
                    )
                    report = await play.close_books()
            finally:
                await play.aclose()
    stage.tell("In the end", headline(report))
    _tell_report(stage, report)
    return books, render_html(report)


def _as_data(check: Check) -> dict[str, Any]:
    parts = [{"count": count, "name": name} for count, name in check.parts]
    return {"name": check.name, "count": check.total, "adds_up": check.adds_up, "parts": parts}


def _page(html: str | None) -> Path:
    """Find out where the report can be written, before anything is played."""
    if html is None:
        number, name = tempfile.mkstemp(prefix="pidj-demo-", suffix=".html")
        os.close(number)
        return Path(name)
    page = Path(html)
    try:
        page.touch()
    except OSError as error:
        msg = f"{html}: {error.strerror}"
        raise click.UsageError(msg) from error
    return page


def _demo(*, html: str | None) -> int:
    context = click.get_current_context()
    settings = context.ensure_object(Settings)
    if given := sorted(settings.given - {"as_json"}):
        options = ", ".join("--" + name.replace("_", "-") for name in given)
        msg = f"the demonstration uses no account; leave out {options}"
        raise click.UsageError(msg)
    page = _page(html)

    # Here and in every function, not at the head: `pidj --help` reads this module for one sentence.
    import anyio  # noqa: PLC0415

    from pidj_async.cli.demo_books import checks_of  # noqa: PLC0415
    from pidj_async.cli.output import console, write_json  # noqa: PLC0415

    screen = None if settings.as_json else console()
    started = time.perf_counter()
    stage = _Stage(screen)
    books, report = anyio.run(_perform, stage)
    page.write_text(report, encoding="utf-8")
    stage.tell("Report", f"file://{page.absolute()}")
    checks = checks_of(books)
    good = all(check.adds_up for check in checks)
    if screen is None:
        write_json({"adds_up": good, "report": str(page), "checks": [_as_data(check) for check in checks]})
    else:
        screen.print()
        _show(screen, checks)
        verdict = "[bold green]It adds up[/]" if good else "[bold red]It does not add up[/]"
        screen.print()
        screen.print(f"{verdict}, after {time.perf_counter() - started:.1f} s.")
        if good:
            screen.print(
                "What is in doubt may have been sent, or not: nobody on this side can know. It is reported, and never "
                "sent again by itself."
            )
    return 0 if good else 1


demo = click.Command(
    "demo",
    callback=_demo,
    short_help="Show the whole product in less than a minute.",
    help="Show the whole product in less than a minute: no account, nothing to set up.\n\n"
    "A sandbox is started, and a campaign texts the people in a list of 2,000 lines. Its process is killed in the "
    "middle, and another one goes on. Some requests fail; some people have said STOP before, some say it now, some "
    "answer. Their texts come back over HTTP, into an inbox that feeds the suppression list. In the end everything is "
    "counted on both sides, and there is a report to look at; the exit code is 1 if it does not add up.",
    params=[
        click.Option(["--html"], metavar="FILE", help="Where to write the report; a temporary file if left out."),
        *shared_options(before_command=False, connection=False),
    ],
)
"""The command."""
