"""One module per kind of server. Each translates a request in and a reply out, and decides nothing."""

from __future__ import annotations

__all__: list[str] = []
