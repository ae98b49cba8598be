"""A report's charts, as SVG that stands in the page.

pygal draws them; what it cannot know is added here: what a reader who sees no picture is told, what is shown of the
thing below the pointer, and names that leave colours, dashes and patterns to the page's style sheet, so that a chart
follows the reader's light or dark screen, and paper.

Letters in a picture shrink with it. So each chart is drawn in several widths, and the style sheet shows the one that
fits.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from xml.etree import ElementTree as ET

import attrs

from pidj_async.campaigns.figures import Bucket, Latency, Pause

__all__ = ["Drawing", "latency_chart", "texts_chart"]


def _import_pygal() -> Any:
    """Import it, and take out again what it adds to the interpreter's finders.

    That one is for maps, which nobody draws here, and of a kind that Python 3.11 warns about at every import of
    something that is not installed, whoever asks for it. Finders that its own imports add have to stay.
    """
    import pygal  # type: ignore[import-untyped]  # noqa: PLC0415

    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, pygal.PluginImportFixer)]
    return pygal


pygal: Final = _import_pygal()

_HOUR: Final = 3_600
_DAY: Final = 24 * _HOUR
_LABEL_STEPS: Final = (
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800),
    *(_HOUR, 2 * _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR),
    *(_DAY * days for days in (1, 2, 7, 14, 28, 56, 112, 224, 448, 896, 1_792, 3_584)),
)

_WIDE_RANGE: Final = 30
"""Where the slowest is so many times the fastest, the axis is logarithmic: else all but the slowest were one line."""


@attrs.frozen
class Drawing:
    """One chart in one width.

    Attributes:
        size: What the style sheet knows this width as.
        svg: The picture.
    """

    size: str
    svg: str


@attrs.frozen
class _Series:
    """What is drawn alike: a value for each bucket, ``None`` where there is nothing, and what each value says."""

    name: str
    values: Sequence[float | None]
    texts: Sequence[str]


@attrs.frozen
class _Size:
    name: str
    width: int
    height: int
    labels: int


_SIZES: Final = (_Size("narrow", 360, 230, 4), _Size("medium", 640, 250, 6), _Size("wide", 1000, 280, 10))


def texts_chart(
    buckets: Sequence[Bucket], seconds: int, *, pauses: Sequence[Pause] = (), title: str, description: str
) -> list[Drawing]:
    """Draw how many texts there were in each stretch of time, and what became of them, one upon the other.

    Args:
        buckets: In order, without a gap; at least one.
        seconds: How long each is.
        pauses: Where there are no texts and one of these lasts throughout, the ground says so.
        title: What it is.
        description: What it shows, for those who do not see it.
    """
    when = [_when(one.start, seconds) for one in buckets]
    ticks = _ticks(max(one.texts for one in buckets))

    def counted(name: str, label: str, counts: Sequence[int]) -> _Series:
        texts = [f"{moment}: {count:,} {label}" for moment, count in zip(when, counts, strict=True)]
        return _Series(name, [count or None for count in counts], texts)

    paused = [ticks[-1] if not one.texts and _lies_in(one.start, seconds, pauses) else None for one in buckets]
    series = [
        counted("sent", "sent", [one.sent for one in buckets]),
        counted("rejected", "refused", [one.rejected for one in buckets]),
        counted("in-doubt", "in doubt", [one.in_doubt for one in buckets]),
        _Series("paused", paused, [f"{moment}: paused" for moment in when]),
    ]

    def chart(size: _Size) -> Any:
        return pygal.StackedBar(
            **_options(buckets, seconds, size),
            range=(0, ticks[-1]),
            y_labels=ticks,
            value_formatter=lambda value: f"{value:,.0f}",
        )

    return [_draw(chart, size, series, _Words("texts", title, description)) for size in _SIZES]


def latency_chart(
    buckets: Sequence[Bucket], seconds: int, *, title: str, description: str, show: Callable[[float], str]
) -> list[Drawing]:
    """Draw how long calls took in each stretch of time.

    Args:
        buckets: In order, without a gap; at least one with a latency.
        seconds: How long each is.
        title: What it is.
        description: What it shows, for those who do not see it.
        show: Says a time, given in microseconds, in words.
    """
    when = [_when(one.start, seconds) for one in buckets]
    known = [one.latency for one in buckets if one.latency is not None]
    lowest, highest = max(min(one.p50 for one in known), 1), max(1, *(one.p99 for one in known))
    logarithmic = highest / lowest > _WIDE_RANGE
    if logarithmic:
        ticks, ends = _logarithmic_ticks(lowest, highest)
    else:
        ticks = _ticks(highest)
        ends = 0, ticks[-1]

    # The library has a logarithmic axis, but draws lines across gaps on it.
    def place(time: int) -> float:
        return math.log10(max(time, 1)) if logarithmic else time

    def timed(name: str, label: str, pick: Callable[[Latency], int]) -> _Series:
        times = [None if one.latency is None else pick(one.latency) for one in buckets]
        texts = [
            "" if time is None else f"{moment}: {label} {show(time)}" for moment, time in zip(when, times, strict=True)
        ]
        return _Series(name, [None if time is None else place(time) for time in times], texts)

    series = [
        timed("p50", "half within", lambda one: one.p50),
        timed("p95", "95 % within", lambda one: one.p95),
        timed("p99", "99 % within", lambda one: one.p99),
    ]

    def chart(size: _Size) -> Any:
        return pygal.Line(
            **_options(buckets, seconds, size),
            range=(place(ends[0]), place(ends[1])),
            y_labels=[{"label": show(tick), "value": place(tick)} for tick in ticks],
            allow_interruptions=True,
            dots_size=2.5,
        )

    return [_draw(chart, size, series, _Words("latency", title, description)) for size in _SIZES]


# --- axes ---------------------------------------------------------------------------------------------------------


def _options(buckets: Sequence[Bucket], seconds: int, size: _Size) -> dict[str, Any]:
    labels = _time_labels([one.start for one in buckets], seconds, size.labels)
    return {
        "width": size.width,
        "height": size.height,
        "x_labels": labels,
        "x_labels_major": [label for label in labels if label],
        "show_minor_x_labels": False,
        "show_legend": False,
        "margin": 4,
        # Letters may be wider than the library thinks, and it does not think of the last label at all.
        "margin_left": 16,
        "margin_right": 16,
        "spacing": 4,
        "truncate_label": -1,
        "js": (),
        "css": (),
    }


def _time_labels(starts: Sequence[datetime], seconds: int, most: int) -> list[str]:
    """Name the full hours, or whatever is round, and leave the others without a name."""
    span = len(starts) * seconds
    step = next((step for step in _LABEL_STEPS if step >= seconds and span / step <= most), _LABEL_STEPS[-1])
    labels = [_clock(one, step) if int(one.timestamp()) % step == 0 else "" for one in starts]
    return labels if any(labels) else [_clock(starts[0], seconds), *labels[1:]]


def _clock(moment: datetime, step: int) -> str:
    if step >= _DAY or not int(moment.timestamp()) % _DAY:
        return f"{moment.day} {moment:%b}"
    return f"{moment:%H:%M}" if step >= 60 else f"{moment:%H:%M:%S}"


def _when(start: datetime, seconds: int) -> str:
    end = start + timedelta(seconds=seconds)
    if seconds >= _DAY:
        return f"{start.day} {start:%b} to {end.day} {end:%b} (UTC)"
    form = "%H:%M" if seconds >= 60 else "%H:%M:%S"
    return f"{start.day} {start:%b}, {start.strftime(form)} to {end.strftime(form)} UTC"


def _lies_in(start: datetime, seconds: int, pauses: Sequence[Pause]) -> bool:
    end = start + timedelta(seconds=seconds)
    return any(one.start <= start and (one.end is None or end <= one.end) for one in pauses)


def _ticks(highest: int) -> list[int]:
    """Four or five round numbers from 0 to the highest one or just beyond."""
    rough = max(highest / 4, 1)
    magnitude = 10 ** math.floor(math.log10(rough))
    step = math.ceil(next(factor for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= rough) * magnitude)
    return [step * number for number in range(math.ceil(max(highest, 1) / step) + 1)]


def _logarithmic_ticks(lowest: int, highest: int) -> tuple[list[int], tuple[int, int]]:
    """Numbers to be named on an axis, and from where to where it reaches."""
    ticks = [factor * 10**power for power in range(19) for factor in (1, 2, 5)]
    first = max(index for index, tick in enumerate(ticks) if tick <= lowest)
    last = min(index for index, tick in enumerate(ticks) if tick >= highest)
    within = ticks[first : last + 1]
    # Too many of them: only powers of ten have names.
    named = within if len(within) <= 6 else [tick for tick in within if math.log10(tick).is_integer()]
    return named, (within[0], within[-1])


# --- the picture --------------------------------------------------------------------------------------------------

_MARKS: Final = ("bar", "dots")
_TOO_EXACT: Final = re.compile(r"(?<=\.\d)\d+")


@attrs.frozen
class _Words:
    name: str
    title: str
    description: str


def _draw(make: Callable[[_Size], Any], size: _Size, series: Sequence[_Series], words: _Words) -> Drawing:
    chart = make(size)
    for one in series:
        chart.add(one.name, list(one.values))
    # Read by the standard library, from the library's own output: whether lxml is installed must not matter.
    root = ET.fromstring(chart.render(is_unicode=True, disable_xml_declaration=True))  # noqa: S314
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]  # HTML knows what an <svg> is
    _tidy(root, {"defs", "desc", "title", "style", "script"}, {"tooltip-overlay", "text-overlay"})
    for index, one in enumerate(series):
        _label(root, index, one)
    _describe(root, f"{words.name}-{size.name}", words)
    return Drawing(size.name, ET.tostring(root, encoding="unicode"))


def _tidy(element: ET.Element, tags: set[str], classes: set[str]) -> None:
    """Drop what only a picture with scripts needs, and digits that nobody sees."""
    for child in list(element):
        if child.tag in tags or classes & set(child.get("class", "").split()):
            element.remove(child)
        else:
            _tidy(child, tags, classes)
    for name, value in list(element.attrib.items()):
        if name in {"x", "y", "width", "height", "cx", "cy", "r"}:
            element.set(name, f"{float(value):.1f}".removesuffix(".0"))
        elif name == "d":
            element.set(name, _TOO_EXACT.sub("", value))
        elif name in {"rx", "ry", "id"}:
            del element.attrib[name]


def _label(root: ET.Element, index: int, series: _Series) -> None:
    """Give a series its own name, and each of its marks a text for whoever points at it."""
    groups = [element for element in root.iter() if f"serie-{index}" in element.get("class", "").split()]
    for group in groups:
        group.set("class", f"series {series.name}")
    marks = [
        (parent, mark)
        for group in groups
        for parent in group.iter()
        for mark in parent
        if mark.get("class", "").partition(" ")[0] in _MARKS
    ]
    texts = [None if value is None else text for value, text in zip(series.values, series.texts, strict=True)]
    # A line has no mark where there is no value; of bars upon each other, every one is there.
    if len(marks) != len(texts):
        texts = [text for text in texts if text is not None]
    for (parent, mark), text in zip(marks, texts, strict=True):
        if text is None:
            parent.remove(mark)
        else:
            ET.SubElement(mark, "title").text = text


def _describe(root: ET.Element, name: str, words: _Words) -> None:
    for position, (tag, text) in enumerate((("title", words.title), ("desc", words.description))):
        element = ET.Element(tag, id=f"{name}-{tag}")
        element.text = text
        root.insert(position, element)
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-desc")
    root.set("class", f"chart {words.name}")
