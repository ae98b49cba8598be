"""What is shown while a campaign runs."""

from __future__ import annotations

import io
import logging

import attrs
import pytest
from rich.console import Console

from pidj_async.campaigns.campaign import Progress
from pidj_async.campaigns.states import RecipientState
from pidj_async.cli.campaign_progress import PLAIN_EVERY, Display, duration

_S = RecipientState

PROGRESS = Progress(
    counts=dict.fromkeys(_S, 0) | {_S.SENT: 1_200, _S.IN_DOUBT: 2, _S.SENDING: 90, _S.READY: 8_000, _S.PENDING: 708},
    rate=432.1,
    eta=75.0,
    limit=90,
    in_flight=90,
    waiting_for=None,
)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def screen(*, is_terminal: bool = True) -> Console:
    return Console(file=io.StringIO(), width=120, force_terminal=is_terminal, color_system=None, highlight=False)


def seen(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_at_a_terminal_two_lines_move() -> None:
    """How far, how fast, how long still, how many at a time, and what has become of whom."""
    console = screen()
    display = Display(quiet=False, screen=console)
    with display.running():
        display.update(PROGRESS)
        shown = seen(console)
    assert "1,202 of 10,000  432 a second  75 s left  90 at a time" in shown
    assert "1,200 sent, 2 in doubt, 90 under way, 708 waiting for their hours, 8,000 waiting" in shown
    assert "waiting for 429" not in shown
    assert 90 == display.in_flight


def test_what_everybody_waits_for_is_shown() -> None:
    """A pause without a word looks like a program that hangs."""
    console = screen()
    display = Display(quiet=False, screen=console)
    with display.running():
        display.update(attrs.evolve(PROGRESS, waiting_for="Pidj, which asked for a pause", eta=None, rate=0.5))
    assert "waiting for Pidj, which asked for a pause" in seen(console)
    assert "1,202 of 10,000  0.5 a second  90 at a time" in seen(console)


def test_into_a_pipe_there_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, not more often than every ten seconds."""
    clock = Clock()
    display = Display(quiet=False, screen=screen(is_terminal=False), clock=clock)
    with display.running():
        for clock.now in (0.0, 5.0, PLAIN_EVERY, PLAIN_EVERY + 5):
            display.update(PROGRESS)
    lines = capsys.readouterr().err.splitlines()
    assert [
        (
            "1,202 of 10,000; 432 a second; 75 s left; 90 at a time; "
            "1,200 sent, 2 in doubt, 90 under way, 708 waiting for their hours, 8,000 waiting"
        )
    ] == lines


def test_in_a_pipe_what_everybody_waits_for_is_told_too(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever reads the log in the morning wants to know."""
    clock = Clock()
    display = Display(quiet=False, screen=screen(is_terminal=False), clock=clock)
    with display.running():
        clock.now = PLAIN_EVERY
        display.update(attrs.evolve(PROGRESS, waiting_for="the hours of the next recipients"))
    assert "waiting for the hours of the next recipients" in capsys.readouterr().err


@pytest.mark.parametrize("is_terminal", [True, False])
def test_programs_are_told_nothing(is_terminal: bool, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: FBT001
    """Neither how it goes nor what goes wrong: all of it is in the document in the end."""
    clock = Clock()
    console = screen(is_terminal=is_terminal)
    display = Display(quiet=True, screen=console, clock=clock)
    with display.running():
        clock.now = PLAIN_EVERY
        display.update(PROGRESS)
        display.tell("Stopping.")
        logging.getLogger("pidj_async.campaigns").warning("the ledger cannot be written")
    captured = capsys.readouterr()
    assert ("", "", "") == (seen(console), captured.out, captured.err)


def test_warnings_are_told_above_it_and_masked(capsys: pytest.CaptureFixture[str]) -> None:
    """At a terminal they do not tear the moving lines apart."""
    logger = logging.getLogger("pidj_async.campaigns")
    console = screen()
    with Display(quiet=False, screen=console).running():
        logger.warning("the ledger cannot be written for %s", "+12025550123")
        logger.info("nobody needs to know")
    with Display(quiet=False, screen=screen(is_terminal=False)).running():
        logger.warning("the disk is full")
    logger.warning("afterwards")
    assert "pidj: the ledger cannot be written for +120******23" in seen(console)
    assert "nobody needs to know" not in seen(console)
    assert "pidj: the disk is full\n" == capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.0, "1 s"),
        (45.4, "45 s"),
        (89.9, "90 s"),
        (90.0, "2 min"),
        (3_600.0, "60 min"),
        (5_400.0, "1 h 30 min"),
        (7_200.0, "2 h"),
        (86_400.0 * 2, "2 d"),
        (86_400.0 * 2 + 3_600 * 4, "2 d 4 h"),
    ],
)
def test_times_are_told_as_people_do(seconds: float, expected: str) -> None:
    """Nobody counts an hour in seconds."""
    assert expected == duration(seconds)
