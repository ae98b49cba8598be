"""What every process of a benchmark asks of the machine: cores, open files, memory, and how fast its disk is."""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from statistics import median

__all__ = ["FILES_WANTED", "cores", "durable_commit", "memory", "peak_memory", "pin", "raise_file_limit"]

FILES_WANTED = 8_192
"""A thousand connections, and room for whatever else is open."""

_COMMITS = 100


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


def memory() -> int:
    """What this process has in memory, in bytes; its peak so far where the system tells no more."""
    return _linux_memory("VmRSS") if sys.platform == "linux" else peak_memory()


def peak_memory() -> int:
    """The most that this process has had in memory, in bytes; 0 where the system does not tell."""
    if sys.platform == "linux":  # where getrusage counts what the parent had, too
        return _linux_memory("VmHWM")
    if sys.platform == "win32":
        return 0
    import resource  # noqa: PLC0415  Windows has none

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _linux_memory(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def durable_commit(file: Path) -> float:
    """How many milliseconds a durable commit of a small row to SQLite takes: nobody who waits for one can be faster.

    Args:
        file: Where; it is made.
    """
    took = []
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "CREATE TABLE t (body BLOB)"):
            connection.execute(statement).close()
        for _ in range(_COMMITS):
            start = time.perf_counter()
            connection.execute("INSERT INTO t VALUES (?)", (os.urandom(500),))
            took.append(time.perf_counter() - start)
    return median(took) * 1_000
