"""What is told of a list before anybody in it is texted."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import attrs

from pidj_async.campaigns.preflight import ForcingCharacter, PreflightReport
from pidj_async.campaigns.settings import CampaignSettings
from pidj_async.campaigns.sources import Problem
from pidj_async.cli.campaign_preflight import tell_preflight
from pidj_async.sms import Encoding

if TYPE_CHECKING:
    import pytest

SETTINGS = CampaignSettings(text="Hi", group_id="gr:1")

REPORT = PreflightReport(
    lines=1_240,
    recipients=1_200,
    known=0,
    invalid=30,
    duplicate=10,
    suppressed=50,
    problems=tuple(Problem(line, "it is missing") for line in range(2, 32)),
    segments=1_400,
    segments_per_text={1: 900, 2: 250},
    encodings={Encoding.GSM_7: 1_100, Encoding.UCS_2: 50},
    forced_by=(
        ForcingCharacter(character="ë", description="U+00EB E WITH DIAERESIS", texts=49, line=17, suggestion="e"),
        ForcingCharacter(character="🙂", description="U+1F642 FACE", texts=1, line=20, suggestion=""),
        ForcingCharacter(character="漢", description="U+6F22 CJK", texts=2, line=21, suggestion=None),
    ),
    longest=170,
    longest_line=99,
    unused_columns=("birthday",),
    unknown_fields=("nickname",),
)


def told(
    capsys: pytest.CaptureFixture[str],
    report: PreflightReport = REPORT,
    settings: CampaignSettings = SETTINGS,
    price: Decimal | None = None,
) -> list[str]:
    tell_preflight(report, settings, price)
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_everything_is_told_in_few_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Totals, ten of the invalid lines, what makes it expensive and where, and columns that do not fit the text."""
    assert [
        "lines 1,240",
        "recipients 1,200",
        "invalid 30",
        "duplicate 10",
        "suppressed 50, who want no texts",
        "to be texted 1,150",
        "segments 1,400 (900 texts of 1, 250 texts of 2; 50 need UCS-2)",
        "longest text 170 characters (line 99)",
        "cost about 10.50, if each segment costs 0.0075",
        "duration as fast as Pidj takes them; nobody is texted outside 8:00-21:00 of their own time",
        *(f"line {line}: it is missing" for line in range(2, 12)),
        "and 20 more invalid lines; --problems FILE writes all of them",
        "49 texts need UCS-2 because of U+00EB E WITH DIAERESIS, such as line 17; 'e' would not",
        "1 text needs UCS-2 because of U+1F642 FACE, such as line 20; it can be left out",
        "2 texts need UCS-2 because of U+6F22 CJK, such as line 21",
        "no line has these merge fields, so everybody gets their defaults: nickname",
        "these columns are not used: birthday",
    ] == told(capsys, price=Decimal("0.0075"))


def test_a_rate_says_how_long_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    """As well as can be known beforehand."""
    settings = CampaignSettings(text="Hi", group_id="gr:1", rate=2.5, hours="any")
    assert "duration about 8 min at 2.5 a second" in told(capsys, settings=settings)


def test_who_is_in_the_campaign_already_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """How many are to be texted is not said then: some of them have been."""
    lines = told(capsys, attrs.evolve(REPORT, known=7))
    assert "recipients 1,200; 7 of them are in the campaign already" in lines
    assert not any(line.startswith("to be texted") for line in lines)


def test_much_of_it_is_cut_short(capsys: pytest.CaptureFixture[str]) -> None:
    """Five characters and ten columns are enough, and a name of somebody else's cannot steer the terminal."""
    columns = tuple(f"c{number}\x1b[31m" for number in range(12))
    lines = told(capsys, attrs.evolve(REPORT, forced_by=REPORT.forced_by * 3, unused_columns=columns))
    assert "and 4 more characters that need UCS-2" in lines
    assert lines[-1].endswith(" and 2 more")
    assert "\x1b" not in "".join(lines)


def test_an_empty_list_has_little_to_tell(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither segments nor a duration."""
    empty = attrs.evolve(
        REPORT,
        lines=0,
        recipients=0,
        invalid=0,
        duplicate=0,
        suppressed=0,
        problems=(),
        segments=0,
        segments_per_text={},
        forced_by=(),
        longest=0,
        longest_line=None,
        unused_columns=(),
        unknown_fields=(),
    )
    assert ["lines 0", "recipients 0", "to be texted 0"] == told(capsys, empty)
