"""The words of a report: good English for one and for many, and numbers as people say them."""

from __future__ import annotations

import re
import shlex
from importlib.resources import files

import attrs
import pytest

from pidj_async import outcomes
from pidj_async.campaigns import runner, verdicts, wording
from pidj_async.campaigns.figures import CampaignReport
from pidj_async.campaigns.ledger import changes
from pidj_async.campaigns.states import CampaignState, RecipientState
from pidj_async.campaigns.wording import advice_on, headline

from .finished import made


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (made(), "Nobody is in this campaign yet."),
        (made(sent=1), "The only person was texted."),
        (made(sent=1_920), "All 1,920 people were texted."),
        (made(rejected=1), "The only person was not texted."),
        (made(suppressed=20), "None of 20 people were texted."),
        (made(sent=1, rejected=1), "1 of 2 people was texted."),
        (
            made(sent=1_848, rejected=60, in_doubt=12),
            "1,848 of 1,920 people were texted; 12 are in doubt and need a decision.",
        ),
        (made(sent=2, in_doubt=1), "2 of 3 people were texted; 1 is in doubt and needs a decision."),
        (
            made(in_doubt=3),
            "Nobody is known to have been texted; 3 of 3 people are in doubt and need a decision.",
        ),
        (made(CampaignState.RUNNING, sent=5, ready=5), "5 of 10 people have been texted so far."),
        (made(CampaignState.PAUSED, ready=5), "None of 5 people have been texted so far."),
        (made(CampaignState.CANCELLED, sent=5, cancelled=5), "5 of 10 people were texted."),
    ],
)
def test_the_headline_says_what_matters(report: CampaignReport, expected: str) -> None:
    """In one sentence, and in good English, for one and for many."""
    assert expected == headline(report)


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (made(sent=1), []),
        (made(state=CampaignState.LOADING), ["run RECIPIENTS.csv --id spring"]),
        (made(CampaignState.LOADING, ready=1), ["resume spring"]),
        (made(CampaignState.RUNNING, ready=1), ["status spring", "resume spring"]),
        (made(CampaignState.PAUSED, ready=1, reason="402"), ["resume spring"]),
        (made(CampaignState.CANCELLED, cancelled=1), []),
        (
            made(in_doubt=2),
            [
                "resolve spring --as sent --all",
                "resolve spring --as abandoned --all",
                "resolve spring --as resend --all",
            ],
        ),
        (made(rejected=2), ["export spring results.csv"]),
    ],
)
def test_the_advice_is_what_to_type(report: CampaignReport, expected: list[str]) -> None:
    """Each state has the commands that lead out of it; where all is done, there are none."""
    commands = [command for one in advice_on(report) for command, _ in one.commands]
    assert [f"pidj campaign {rest}" for rest in expected] == commands
    assert advice_on(report)


def test_a_pause_says_why() -> None:
    """The reason stands where the way out does, as a sentence, with numbers masked."""
    report = made(CampaignState.PAUSED, ready=1, reason="402 for +13035550123")
    assert "The campaign is paused. 402 for +130******23. When that is settled:" == advice_on(report)[0].text


def test_a_name_with_spaces_is_quoted() -> None:
    """What is to be typed can be typed as it stands."""
    report = made(in_doubt=1)
    report = attrs.evolve(report, campaign=attrs.evolve(report.campaign, id="it's; spring"))
    for command, _ in advice_on(report)[0].commands:
        assert "it's; spring" == shlex.split(command)[3]


def test_every_cause_is_explained() -> None:
    """Each word that the other rooms count by has an explanation here."""
    words = {
        *outcomes._NOT_SENT.values(),
        *outcomes._UNKNOWN.values(),
        *(otherwise for *_, otherwise in outcomes._BROKEN),
    }
    words |= {"unreadable-reply", "declined", "cancelled", "transport-bug", "opt-out", changes.WORKER_LOST}
    for module in (verdicts, runner):
        source = (files("pidj_async") / "campaigns" / f"{module.__name__.rpartition('.')[2]}.py").read_text()
        words |= set(re.findall(r'cause="([a-z-]+)"', source))
    assert set() == words - wording._CAUSES.keys()


@pytest.mark.parametrize(
    ("cause", "state", "expected"),
    [
        (None, None, ""),
        ("http-503", None, "Pidj answered 503 Service Unavailable"),
        ("http-599", None, "Pidj answered 599"),
        ("something-new", None, ""),
        ("unreadable-reply", RecipientState.SENT, "Pidj took it, its answer could not be read"),
        (
            "http-503",
            RecipientState.SENT,
            "a person decided so; it was in doubt: Pidj answered 503 Service Unavailable",
        ),
    ],
)
def test_a_cause_in_words(cause: str | None, state: RecipientState | None, expected: str) -> None:
    """Of a status its name; of what a person decided, that it was a person; nothing of what is not known."""
    assert expected == wording.cause_in_words(cause, state)


@pytest.mark.parametrize(
    ("microseconds", "expected"),
    [
        (0, "0"),
        (1, "1 µs"),
        (999, "999 µs"),
        (1_500, "2 ms"),
        (999_499, "999 ms"),
        (999_600, "1 s"),
        (12_340_000, "12.3 s"),
        (59_960_000, "1 min"),
        (100_000_000, "1 min 40 s"),
        (600_000_000, "10 min"),
        (13_560_000_000, "3 h 46 min"),
        (3_599_990_000, "1 h"),
        (165_600_000_000, "1 d 22 h"),
    ],
)
def test_a_length_of_time_in_words(microseconds: float, expected: str) -> None:
    """As exact as people are: two units at most, and never sixty of one."""
    assert expected == wording.span(microseconds)


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [
        (0, 0, "0 %"),
        (0, 5, "0 %"),
        (1, 1_920, "< 0.1 %"),
        (1, 3, "33.3 %"),
        (999_999, 1_000_000, "99.9 %"),
        (7, 7, "100 %"),
    ],
)
def test_a_share_in_words(part: int, whole: int, expected: str) -> None:
    """Little is not nothing, and nearly all is not all."""
    assert expected == wording.percent(part, whole).replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("rate", "expected"), [(1_234.5, "1,234 a second"), (0.5, "30 a minute"), (0.001, "3.6 an hour")]
)
def test_a_rate_in_words(rate: float, expected: str) -> None:
    """In a unit of time in which there is at least one."""
    assert expected == wording.rate(rate)
