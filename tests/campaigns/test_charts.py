"""Charts: what is drawn is what was counted, and where nothing was, nothing is drawn."""

from __future__ import annotations

import itertools
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pidj_async.campaigns import charts
from pidj_async.campaigns.figures import Bucket, Latency, Pause

START = datetime(2026, 11, 23, 21, 0, tzinfo=UTC)


def bucket(hour: int, *, took: int | None = None, **counts: int) -> Bucket:
    latency = None if took is None else Latency(calls=1, p50=took, p95=2 * took, p99=3 * took)
    return Bucket(start=START + timedelta(hours=hour), latency=latency, **counts)


def texts(buckets: list[Bucket], *, pauses: tuple[Pause, ...] = (), size: int = 2) -> ET.Element:
    drawn = charts.texts_chart(buckets, 3_600, pauses=pauses, title="Texts", description="Bars & more")
    return ET.fromstring(drawn[size].svg)  # noqa: S314  ours


def latency(buckets: list[Bucket]) -> ET.Element:
    drawn = charts.latency_chart(buckets, 3_600, title="Times", description="Lines", show=lambda time: f"{time:.0f}!")
    return ET.fromstring(drawn[2].svg)  # noqa: S314  ours


def said(root: ET.Element, name: str) -> list[str]:
    """What the marks of a series tell whoever points at them."""
    return [
        title.text or ""
        for series in root.iter("g")
        if series.get("class") == f"series {name}"
        for title in series.iter("title")
    ]


def named(root: ET.Element, axis: str) -> list[str]:
    return [
        text.text or ""
        for one in root.iter("g")
        if one.get("class", "").startswith(f"axis {axis}")
        for text in one.iter("text")
    ]


def test_a_bar_is_where_something_was() -> None:
    """A bar for each kind of outcome that there was, none for what there was not."""
    root = texts([bucket(0, sent=1_200, rejected=2), bucket(1), bucket(2, in_doubt=1)])
    assert ["23 Nov, 21:00 to 22:00 UTC: 1,200 sent"] == said(root, "sent")
    assert ["23 Nov, 21:00 to 22:00 UTC: 2 refused"] == said(root, "rejected")
    assert ["23 Nov, 23:00 to 00:00 UTC: 1 in doubt"] == said(root, "in-doubt")
    assert [] == said(root, "paused")


def test_a_bar_is_as_high_as_its_count() -> None:
    """Heights are in the proportion of the counts, and bars stand upon each other."""
    root = texts([bucket(0, sent=300, rejected=100)])
    sent, rejected = (
        rectangle
        for series in root.iter("g")
        if series.get("class") in {"series sent", "series rejected"}
        for rectangle in series.iter("rect")
    )
    assert pytest.approx(3, rel=0.02) == float(sent.attrib["height"]) / float(rejected.attrib["height"])
    top = float(rejected.attrib["y"]) + float(rejected.attrib["height"])
    assert pytest.approx(top, abs=0.2) == float(sent.attrib["y"])


def test_a_pause_shows_where_nothing_else_does() -> None:
    """Only in whole stretches of it that had no texts."""
    pause = Pause(start=START + timedelta(minutes=30), end=START + timedelta(hours=3), reason=None)
    root = texts([bucket(0, sent=1), bucket(1), bucket(2, sent=1), bucket(3)], pauses=(pause,))
    assert ["23 Nov, 22:00 to 23:00 UTC: paused"] == said(root, "paused")
    endless = Pause(start=START, end=None, reason=None)
    assert 1 == len(said(texts([bucket(0), bucket(1, sent=1)], pauses=(endless,)), "paused"))


@pytest.mark.parametrize("times", [(100, 200, 300), (100, 200, 3_000_000)], ids=["linear", "logarithmic"])
def test_a_line_does_not_bridge_a_gap(times: tuple[int, int, int]) -> None:
    """Where there were no calls, the line is interrupted, on either kind of axis; a lonely time is a dot."""
    first, second, third = times
    buckets = [
        *(bucket(0, took=first), bucket(1, took=second), bucket(2), bucket(3)),
        *(bucket(4, took=third), bucket(5, took=first), bucket(6), bucket(7, took=first)),
    ]
    root = latency(buckets)
    lines = [
        path
        for series in root.iter("g")
        if series.get("class") == "series p50"
        for path in series.iter("path")
        if path.get("class", "").startswith("line")
    ]
    assert 2 == len(lines)
    assert 5 == len(said(root, "p50")) == len(said(root, "p99"))
    assert f"23 Nov, 21:00 to 22:00 UTC: half within {first}!" == said(root, "p50")[0]


def test_a_chart_has_a_name_a_description_and_nothing_foreign() -> None:
    """Each width has ids of its own; there is no style, no script and no comment of the library's."""
    drawn = charts.texts_chart([bucket(0, sent=1)], 3_600, title="Texts", description="Bars & <more>")
    assert ["narrow", "medium", "wide"] == [one.size for one in drawn]
    for one in drawn:
        root = ET.fromstring(one.svg)  # noqa: S314  ours
        ids = [f"texts-{one.size}-title", f"texts-{one.size}-desc"]
        assert ids == [element.get("id") for element in root[:2]] == (root.get("aria-labelledby") or "").split()
        assert ["Texts", "Bars & <more>"] == [element.text for element in root[:2]]
        assert set() == {element.tag for element in root.iter()} & {"style", "script", "defs"}
        assert ("<!--" in one.svg, "http" in one.svg) == (False, False)


def test_drawing_makes_nobodys_imports_warn() -> None:
    """Of the finders that a process has once it has drawn, none is of the kind that Python warns about."""
    code = """if True:
        import sys
        import pidj_async.campaigns.charts
        assert "pygal" in sys.modules
        assert [] == [finder for finder in sys.meta_path if not hasattr(finder, "find_spec")]
        try:
            import not_installed
        except ModuleNotFoundError:
            print("quiet")
    """
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert ("quiet\n", "") == (done.stdout, done.stderr)


def test_times_are_named_where_they_are_round() -> None:
    """Full hours, at midnight the day; fewer names where there is less room."""
    buckets = [bucket(hour, sent=1) for hour in range(24)]
    assert ["24 Nov", "06:00", "12:00", "18:00"] == named(texts(buckets, size=0), "x")
    assert ["21:00", "24 Nov", "03:00"] == named(texts(buckets, size=2), "x")[:3]


@pytest.mark.parametrize(("seconds", "expected"), [(1, "21:00:07"), (60, "21:00"), (86_400, "23 Nov")])
def test_a_single_stretch_has_a_name(seconds: int, expected: str) -> None:
    """Even if its time is not round."""
    start = START + timedelta(seconds=7)
    assert [expected] == charts._time_labels([start], seconds, 4)


@given(
    seconds=st.sampled_from([1, 2, 5, 10, 15, 30, 60, 300, 900, 3_600, 21_600, 86_400, 14 * 86_400]),
    count=st.integers(2, 80),
    offset=st.integers(0, 10**9),
    most=st.integers(3, 10),
)
def test_there_are_some_names_and_not_too_many(seconds: int, count: int, offset: int, most: int) -> None:
    """At least one, and no more than there is room for."""
    first = datetime.fromtimestamp(offset // seconds * seconds, UTC)
    labels = charts._time_labels([first + timedelta(seconds=seconds * one) for one in range(count)], seconds, most)
    assert count == len(labels)
    assert 1 <= sum(map(bool, labels)) <= most + 1


@given(st.integers(1, 10**12))
def test_ticks_reach_just_beyond_the_highest(highest: int) -> None:
    """They begin at 0, are equally far apart, few, and do not leave half of the room empty."""
    ticks = charts._ticks(highest)
    assert 0 == ticks[0]
    assert 1 == len({after - before for before, after in itertools.pairwise(ticks)})
    assert ticks[-2] < highest <= ticks[-1]
    assert 2 <= len(ticks) <= 6


@given(st.integers(1, 10**9), st.integers(31, 10**8))
def test_logarithmic_ticks_lie_within_the_axis(lowest: int, factor: int) -> None:
    """The axis holds all times, and at least two of its points have names."""
    named, (low, high) = charts._logarithmic_ticks(lowest, lowest * factor)
    assert low <= lowest <= low * 2.5
    assert high / 2.5 <= lowest * factor <= high
    assert low <= named[0] < named[-1] <= high
    assert sorted(set(named)) == named
