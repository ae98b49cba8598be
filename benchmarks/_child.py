"""Runs a job in a process of its own, and reads its result from its output."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import attrs

__all__ = ["ROOT", "perform", "say"]

ROOT: Final = Path(__file__).parent.parent


def perform(module: str, job: Any, *, limit: float) -> dict[str, Any]:
    """Run ``python -m MODULE JOB``.

    Args:
        module: Which module.
        job: An attrs object; the module gets it as JSON.
        limit: Seconds after which it is given up.

    Returns:
        What the module printed, as JSON.
    """
    done = subprocess.run(  # noqa: S603  our own interpreter and our own module
        [sys.executable, "-m", module, json.dumps(attrs.asdict(job))],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
        timeout=limit,
        text=True,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def say(text: str) -> None:
    """Show what is going on, where somebody is watching."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()
