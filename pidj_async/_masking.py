"""How people's data and secrets are shown in messages, reprs and logs.

One rule for the whole package: a secret is never shown, a phone number shows its country and its last two digits, a
message body shows only its length, anything else is shown as ``repr`` would, shortened.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["REDACTED", "mask_phone_number", "mask_phone_numbers_in", "mask_text", "redact", "shorten", "shorten_names"]

REDACTED = "[redacted]"

_SHORTEST_SECRET = 4  # replacing shorter strings would garble every message and protect nothing
# With a plus, whatever stands around it, and the plus may be percent-encoded, as in a URL. Without one, only by itself:
# ids and times have long numbers too. The bounds keep the time linear in the length of the text.
_PHONE_LIKE = re.compile(
    r"(?P<plus>\+|%2[Bb])(?P<international>\d[\d\-(). ]{5,30}\d)|(?<![\w.:-])\d[\d\-(). ]{6,30}\d(?![\w-])"
)


def mask_phone_number(number: object) -> str:
    """Show enough of a phone number to recognise it, not enough to text it: ``+18885552222`` -> ``+188******22``."""
    text = str(number)
    if len(text) <= 6:
        return "*" * len(text)
    head = 4 if text.startswith("+") else 2
    head = min(head, len(text) - 4)
    return text[:head] + "*" * (len(text) - head - 2) + text[-2:]


def mask_phone_numbers_in(text: str) -> str:
    """Mask whatever looks like a phone number inside a longer text."""
    return _PHONE_LIKE.sub(_mask_found, text)


def _mask_found(found: re.Match[str]) -> str:
    return mask_phone_number("+" + found["international"] if found["plus"] else found.group())


def mask_text(text: object) -> str:
    """Stand in for a message body: ``<24 characters>``, ``<24 bytes>``; of anything else, only what it is."""
    if isinstance(text, str):
        return f"<{len(text)} characters>"
    if isinstance(text, (bytes, bytearray)):
        return f"<{len(text)} bytes>"
    return "None" if text is None else f"<{type(text).__name__}>"


def shorten(value: object, limit: int = 80) -> str:
    """``repr(value)``, cut to about ``limit`` characters."""
    # A huge string is cut before it is quoted: the repr of a 100 MB body would cost another 100 MB.
    if isinstance(value, (str, bytes)) and len(value) > limit:
        return f"{value[:limit]!r}… ({len(value)} long)"
    try:
        shown = repr(value)
    except Exception:  # noqa: BLE001  anybody's object; an int of 5,000 digits refuses too
        return f"<{type(value).__name__}>"
    return shown if len(shown) <= limit + 20 else f"{shown[:limit]}… ({len(shown)} long)"


def shorten_names(names: Iterable[str], limit: int = 80) -> str:
    """Names that somebody else has chosen, safe for one line of a log: ``name, name, na…``."""
    text = mask_phone_numbers_in(", ".join(names))
    return repr(text if len(text) <= limit else text[:limit] + "…")[1:-1]


def redact(text: str, secrets: Iterable[str]) -> str:
    """Take every one of ``secrets`` out of ``text``."""
    # The longest first: of a secret that begins like another one, nothing may be left over. And all in one pass, so
    # that what stands in for one is not searched for the next.
    found = {secret for secret in secrets if len(secret) >= _SHORTEST_SECRET and secret in text}
    if not found:
        return text
    pattern = "|".join(map(re.escape, sorted(found, key=len, reverse=True)))
    return re.sub(pattern, REDACTED, text)
