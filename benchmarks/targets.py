"""What the calls are held against: ratios within one run, and how many microseconds our own part may take."""

from __future__ import annotations

from typing import Final

import attrs

from benchmarks.contenders import FLOOR, HTTPX, HTTPX_FITTED, over
from benchmarks.rivals import AIOHTTP, SLACK, TELNYX, TWILIO

__all__ = ["IDEAL_AT", "OWN_CPU", "OWN_CPU_AT", "PART_OF_IDEAL", "RATIO_AT", "TARGETS", "Target"]


@attrs.frozen
class Target:
    """A ratio of rates that is to be reached.

    Attributes:
        contender: Whose rate.
        at_least: The ratio.
        reference: To whose rate; of several the fastest counts.
        words: How to call those.
    """

    contender: str
    at_least: float
    reference: tuple[str, ...]
    words: str


TARGETS: Final = (
    Target("Pidj over fast", 3.0, (AIOHTTP,), AIOHTTP),
    Target("Pidj over fast", 0.5, (FLOOR,), FLOOR),
    Target("Pidj over fast", 1.0, (TWILIO, TELNYX, SLACK), "the fastest of the SDKs"),
    Target("Pidj over aiohttp", 1.0, (AIOHTTP,), AIOHTTP),
    Target("Pidj over aiohttp", 1.0, (TWILIO, TELNYX, SLACK), "the fastest of the SDKs"),
    Target(over("httpx"), 5.0, (HTTPX, HTTPX_FITTED), "plain httpx"),
    Target(over("httpx"), 1.0, (TELNYX,), TELNYX),
)
RATIO_AT: Final = (100, 1_000)
"""The concurrencies at which they hold."""

OWN_CPU: Final = 15.0
"""Microseconds per call that the client may take above its bare transport."""
OWN_CPU_AT: Final = (100, 1_000)

PART_OF_IDEAL: Final = 0.95
"""Of as many requests a second as there can be, where each takes as long as the server lets it."""
IDEAL_AT: Final = 1_000
