"""``python -m benchmarks imports``: what importing us costs, against importing httpx."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import Final

from benchmarks._host import cores

__all__ = ["STATEMENTS", "measure_imports", "report_imports"]

TARGET: Final = 1.3

_HTTPX: Final = "import httpx"
_PIDJ: Final = "import pidj_async"

#: Each statement, and the one that it is set against.
STATEMENTS: Mapping[str, str] = MappingProxyType(
    {
        _HTTPX: _HTTPX,
        _PIDJ: _HTTPX,
        "from pidj_async import Pidj": _HTTPX,
        "from pidj_async import Pidj; Pidj(account_key='a', token='t')": "import httpx; httpx.AsyncClient()",
        "import httpx; httpx.AsyncClient()": "import httpx; httpx.AsyncClient()",
    }
)

# The interpreter's own start is not ours to answer for, so the clock runs inside.
_PROBE: Final = """
import sys, time
start = time.perf_counter()
exec(sys.argv[1])
print(time.perf_counter() - start)
"""


def measure_imports(rounds: int) -> dict[str, list[float]]:
    """Seconds for each statement, in a fresh interpreter each time, in turns. A first round warms the files' cache."""
    _, core = cores()
    seconds: dict[str, list[float]] = {statement: [] for statement in STATEMENTS}
    pin = "" if core is None else f"import os; os.sched_setaffinity(0, {{{core}}})"
    for number in range(rounds + 1):
        for statement, measured in seconds.items():
            done = subprocess.run(  # noqa: S603  our own interpreter and our own statements
                [sys.executable, "-c", pin + _PROBE, statement],
                cwd=Path(__file__).parent.parent,
                stdout=subprocess.PIPE,
                check=True,
                timeout=60,
            )
            if number:
                measured.append(float(json.loads(done.stdout)))
    return seconds


def report_imports(seconds: Mapping[str, list[float]]) -> str:
    """The table, and how it stands against the target."""
    medians = {statement: median(measured) for statement, measured in seconds.items()}
    lines = [
        f"Medians of {len(seconds[_HTTPX])} fresh interpreters each, in turns, without the interpreter's own start.",
        "",
        "| statement | ms | lowest-highest | ratio | to |",
        "|---|--:|--:|--:|---|",
    ]
    for statement, reference in STATEMENTS.items():
        measured = seconds[statement]
        lines.append(
            f"| `{statement}` | {medians[statement] * 1e3:.1f} | {min(measured) * 1e3:.1f}-{max(measured) * 1e3:.1f} "
            f"| {medians[statement] / medians[reference]:.2f} | `{reference}` |"
        )
    ratio = medians[_PIDJ] / medians[_HTTPX]
    verdict = "met" if ratio <= TARGET else "MISSED"
    return "\n".join([*lines, "", f"{_PIDJ}: {ratio:.2f} times {_HTTPX} (target: at most {TARGET:g}: {verdict})"])
