"""What every process of a benchmark asks of the machine: cores and open files."""

from __future__ import annotations

import os
import sys

__all__ = ["FILES_WANTED", "cores", "pin", "raise_file_limit"]

FILES_WANTED = 8_192
"""A thousand connections, and room for whatever else is open."""


def raise_file_limit() -> None:
    """Allow `FILES_WANTED` open files, or as many as the system lets us."""
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415  Windows has none

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_WANTED if hard == resource.RLIM_INFINITY else min(FILES_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def cores() -> tuple[int | None, int | None]:
    """The cores for the server and for the client; ``None`` where a process cannot be bound to one, or there is one."""
    if sys.platform != "linux":
        return None, None
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[-1]) if len(usable) > 1 else (None, None)


def pin(core: int | None) -> None:
    """Bind this process to a core."""
    if core is not None and sys.platform == "linux":
        os.sched_setaffinity(0, {core})
