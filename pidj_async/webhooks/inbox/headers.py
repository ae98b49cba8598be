"""What is kept of a request's headers: enough to find out what Pidj sends, nothing that opens a door.

The secret of the webhook's URL must not be stored. It comes as ``Authorization``; and servers in between like to repeat
the URL, which may hold it, in headers of their own (``X-Original-URL``, ``Referer``). So a header is kept by name only
if its name looks harmless, and of the others nothing is kept of a value that has a part of this request's URL in it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from json.encoder import encode_basestring_ascii as _quoted
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote

from pidj_async._masking import REDACTED

if TYPE_CHECKING:
    from pidj_async.webhooks.http import WebhookRequest

__all__ = ["kept_headers"]

_SECRET_NAME: Final = re.compile(
    r"auth|cookie|token|secret|password|credential|session|api-?key|ur[il]\b|-ur[il]|path|query|referer|location"
)
_MAX_HEADERS: Final = 100
_MAX_VALUE: Final = 1_000
_SHORTEST_PART: Final = 6  # a path's "api" or "pidj" is no secret, and would redact half of the values


def kept_headers(request: WebhookRequest) -> str:
    """Write the headers of a request for storing.

    Args:
        request: The request.

    Returns:
        A JSON object, in ASCII.
    """
    return _written(request.path, request.query, request.headers)


@lru_cache(maxsize=256)
def _written(path: str, query: str, headers: tuple[tuple[str, str], ...]) -> str:
    # Remembered, because a sender's requests have the same headers again and again.
    kept: dict[str, str] = {}
    parts = _parts(path, query)
    for name, value in headers[:_MAX_HEADERS]:
        shown = REDACTED if _may_be_secret(name) or _has_any(value, parts) else value[:_MAX_VALUE]
        kept[name[:_MAX_VALUE]] = f"{kept[name]}, {shown}" if name in kept else shown
    # What `json.dumps` writes, in half the time: it is prepared for much more than texts.
    return "{" + ", ".join([f"{_quoted(name)}: {_quoted(value)}" for name, value in kept.items()]) + "}"


@lru_cache(maxsize=256)
def _may_be_secret(name: str) -> bool:
    """Say whether a header's name does not look harmless."""
    return _SECRET_NAME.search(name) is not None


def _parts(path: str, query: str) -> list[str]:
    """Find whatever of a URL may be the secret."""
    parts = path.split("/")
    if query:
        parts += [value for _, value in parse_qsl(query[: _MAX_VALUE * 10])]
    return [part for part in parts if len(part) >= _SHORTEST_PART]


def _has_any(value: str, parts: list[str]) -> bool:
    plain = unquote(value) if "%" in value else value
    for part in parts:  # noqa: SIM110  a generator for each header costs more than the search
        if part in value or part in plain:
            return True
    return False
