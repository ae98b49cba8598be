"""What is shown while a campaign runs: two lines that change on a terminal, a line now and then into a pipe.

It goes to standard error, so that standard output has the result alone. Programs are told nothing before the end.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

from pidj_async._masking import mask_phone_numbers_in
from pidj_async.campaigns.states import WAITING, RecipientState
from pidj_async.cli.campaign_status import in_words

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from pidj_async.campaigns.campaign import Progress

__all__ = ["Display", "duration"]

PLAIN_EVERY: Final = 10.0
"""How many seconds lie between two lines, if they cannot be changed."""

_TO_COME: Final = WAITING | {RecipientState.SENDING}


class Display:
    """Shows how a run is going.

    Args:
        quiet: Show nothing; whoever reads is a program.
        screen: Where to; standard error, if left out.
        clock: Seconds.
    """

    def __init__(
        self, *, quiet: bool, screen: Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._quiet = quiet
        self._screen = screen
        self._clock = clock
        self._live: Any = None
        self._next_line = clock() + PLAIN_EVERY
        self.in_flight = 0

    @contextmanager
    def running(self) -> Generator[None]:
        """Show it, and warnings above it, until this ends."""
        logger = logging.getLogger("pidj_async")
        handler = _Warnings(self)
        logger.addHandler(handler)
        try:
            if self._quiet or not self._console().is_terminal:
                yield
                return
            from rich.live import Live  # noqa: PLC0415  programs that ask for JSON pay nothing for it

            with Live(console=self._console(), auto_refresh=False, transient=True) as self._live:
                yield
        finally:
            self._live = None
            logger.removeHandler(handler)

    def update(self, progress: Progress) -> None:
        """Show the newest state of things.

        Args:
            progress: As `Campaign.run` tells it.
        """
        self.in_flight = progress.in_flight
        if self._quiet:
            return
        if self._live is not None:
            self._live.update(_rendered(progress), refresh=True)
        elif self._clock() >= self._next_line and not self._console().is_terminal:
            self._next_line = self._clock() + PLAIN_EVERY
            waiting = [] if progress.waiting_for is None else [f"waiting for {progress.waiting_for}"]
            self.tell("; ".join([_how_far(progress), *_how_fast(progress), in_words(progress.counts), *waiting]))

    def tell(self, text: str) -> None:
        """Write a line that stays."""
        if self._quiet:
            return
        if self._live is not None:
            from rich.text import Text  # noqa: PLC0415

            self._console().print(Text(text), soft_wrap=True)
        else:
            click.echo(text, err=True)

    def _console(self) -> Console:
        if self._screen is None:
            from rich.console import Console  # noqa: PLC0415

            self._screen = Console(stderr=True, highlight=False)
        return self._screen


class _Warnings(logging.Handler):
    """What goes wrong beside the texts themselves, such as a store that cannot be written for a while."""

    def __init__(self, display: Display) -> None:
        super().__init__(logging.WARNING)
        self._display = display

    def emit(self, record: logging.LogRecord) -> None:
        self._display.tell(f"pidj: {mask_phone_numbers_in(record.getMessage())}")


def _rendered(progress: Progress) -> RenderableType:
    from rich.console import Group  # noqa: PLC0415
    from rich.progress_bar import ProgressBar  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    done, total = _done(progress)
    first = Table.grid(padding=(0, 2, 0, 0))
    bar = ProgressBar(total=max(total, 1), completed=done, width=24)
    first.add_row(Text("Sending", style="bold"), bar, _how_far(progress), *_how_fast(progress))
    lines: list[RenderableType] = [first, Text(in_words(progress.counts), style="dim")]
    if progress.waiting_for is not None:
        lines.append(Text(f"waiting for {progress.waiting_for}", style="yellow"))
    return Group(*lines)


def _done(progress: Progress) -> tuple[int, int]:
    total = sum(progress.counts.values())
    return total - sum(progress.counts.get(state, 0) for state in _TO_COME), total


def _how_far(progress: Progress) -> str:
    done, total = _done(progress)
    return f"{done:,} of {total:,}"


def _how_fast(progress: Progress) -> list[str]:
    rate = f"{progress.rate:,.0f}" if progress.rate >= 10 else f"{progress.rate:.1f}"
    told = [f"{rate} a second"]
    if progress.eta is not None:
        told.append(f"{duration(progress.eta)} left")
    told.append(f"{progress.limit:,} at a time")
    return told


def duration(seconds: float) -> str:
    """Write a length of time as people say it: ``45 s``, ``12 min``, ``3 h 20 min``, ``2 d 4 h``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
