"""How people's data and secrets are shown in messages, reprs and logs.

One rule for the whole package: a secret is never shown, a phone number shows its country and its last two digits, a
message body shows only its length, anything else is shown as ``repr`` would, shortened.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["REDACTED", "mask_phone_number", "mask_phone_numbers_in", "mask_text", "redact", "shorten"]

REDACTED = "[redacted]"

_SHORTEST_SECRET = 4  # replacing shorter strings would garble every message and protect nothing
_PHONE_LIKE = re.compile(r"(?<![\w.:-])\+?\d[\d\-(). ]{6,}\d(?![\w-])")


def mask_phone_number(number: object) -> str:
    """Show enough of a phone number to recognise it, not enough to text it: ``+18885552222`` -> ``+188*******22``."""
    text = str(number)
    if len(text) <= 6:
        return "*" * len(text)
    head = 4 if text.startswith("+") else 2
    head = min(head, len(text) - 4)
    return text[:head] + "*" * (len(text) - head - 2) + text[-2:]


def mask_phone_numbers_in(text: str) -> str:
    """Mask whatever looks like a phone number inside a longer text."""
    return _PHONE_LIKE.sub(lambda found: mask_phone_number(found.group()), text)


def mask_text(text: object) -> str:
    """Stand in for a message body: ``<24 characters>``."""
    return f"<{len(str(text))} characters>"


def shorten(value: object, limit: int = 80) -> str:
    """``repr(value)``, cut to about ``limit`` characters."""
    # A huge string is cut before it is quoted: the repr of a 100 MB body would cost another 100 MB.
    if isinstance(value, (str, bytes)) and len(value) > limit:
        return f"{value[:limit]!r}… ({len(value)} long)"
    shown = repr(value)
    return shown if len(shown) <= limit + 20 else f"{shown[:limit]}… ({len(shown)} long)"


def redact(text: str, secrets: Iterable[str]) -> str:
    """Take every one of ``secrets`` out of ``text``."""
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET and secret in text:
            text = text.replace(secret, REDACTED)
    return text
