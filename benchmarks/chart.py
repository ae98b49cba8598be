"""The calls as a picture: how many a second, and what CPU each takes, over the concurrency."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.calls import Figures, Medians, Options
from benchmarks.contenders import CLIENT_ALONE, FLOOR, FLOOR_BUFFERED, SEND_MANY, TRANSPORTS, alone, over

__all__ = ["draw"]

_OURS: Final = {*map(over, TRANSPORTS), SEND_MANY}
_BELOW: Final = {*map(alone, TRANSPORTS), CLIENT_ALONE}  # parts of ours: they stand in the table
_FLOORS: Final = {FLOOR: ":", FLOOR_BUFFERED: "-."}
_MARKERS: Final = "os^Dv<>Ph*"


def draw(options: Options, figures: Figures, file: Path) -> None:
    """Draw what was measured.

    Args:
        options: What was measured.
        figures: What came of it.
        file: Where to; its suffix says as what.
    """
    # The same figures are the same file: no date, and no random names.
    mpl.rcParams["svg.hashsalt"] = "benchmarks"
    medians = Medians(figures)
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    rates, costs = figure.subplots(1, 2)
    contenders = [name for name in options.measured if name not in _BELOW]
    for place, contender in enumerate(contenders):
        style = {"color": f"C{place}", "marker": _MARKERS[place % len(_MARKERS)], "markersize": 5, "linewidth": 1.0}
        if contender in _OURS:
            style["linewidth"] = 2.5
        elif contender in _FLOORS:
            style |= {"color": "black", "linestyle": _FLOORS[contender]}
        else:
            style["linestyle"] = "--"
        _line(rates, options, contender, style, medians.rate)
        _line(costs, options, contender, style, medians.cpu)
    latency = f" (each after {options.latency * 1_000:g} ms)" if options.latency else ""
    rates.set(title=f"requests per second{latency}", xscale="log", yscale="log", xlabel="requests under way at a time")
    costs.set(title="CPU per request, microseconds", xscale="log", yscale="log", xlabel="requests under way at a time")
    for axes in (rates, costs):
        axes.set_xticks(options.concurrency, [f"{one:,}" for one in options.concurrency])
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.minorticks_off()
        axes.grid(which="major", alpha=0.3)
    figure.legend(*rates.get_legend_handles_labels(), loc="outside right center", frameon=False)
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


def _line(
    axes: Any, options: Options, contender: str, style: dict[str, Any], figure: Callable[[str, int], float | None]
) -> None:
    figures = {one: figure(contender, one) for one in options.concurrency}
    measured = {one: value for one, value in figures.items() if value is not None}
    axes.plot(measured.keys(), measured.values(), label=contender, **style)
