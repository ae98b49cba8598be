"""Which process a worker is, and whether it is known to be dead.

A worker that died is noticed when its lease runs out. On the same machine there is no need to wait: a process that is
gone sends nothing. That must be certain, so it is said only of a process of the same boot and of the same process
namespace (containers have one each), by its number and the moment it started, since numbers are given again. Where the
system does not tell these things (it does on Linux), nobody is known to be dead.
"""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path
from typing import Final

import attrs

__all__ = ["is_known_dead", "this_process"]

_UNKNOWN: Final = "?"
_DEAD: Final = frozenset("ZXx")  # a zombie runs no more, even if nobody has asked for its exit status


@attrs.frozen
class _Process:
    host: str
    namespace: str
    pid: int
    started: str

    def __str__(self) -> str:
        return f"{self.host}:{self.namespace}:{self.pid}:{self.started}"


def this_process() -> str:
    """Name this process so that no other one, anywhere, has the same name; at most 200 characters."""
    pid = os.getpid()
    _, started = _state_and_start(pid)
    host = socket.gethostname().replace(":", "-")[:64]
    return str(_Process(host, _namespace(), pid, started))


def is_known_dead(identity: str) -> bool:
    """Say whether a process has certainly ended. ``False`` means that nobody here knows.

    Args:
        identity: What `this_process` said in it.
    """
    process = _parse(identity)
    if process is None or _UNKNOWN in process.namespace or process.namespace != _namespace():
        return False
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        pass  # it is somebody else's
    state, started = _state_and_start(process.pid)
    if _UNKNOWN in {started, process.started}:
        return False
    return state in _DEAD or started != process.started


def _parse(identity: str) -> _Process | None:
    host, _, rest = identity.partition(":")
    namespace, _, rest = rest.partition(":")
    pid, _, started = rest.partition(":")
    if not (host and namespace and started and pid.isascii() and pid.isdigit() and int(pid) > 0):
        return None
    return _Process(host, namespace, int(pid), started)


@cache
def _namespace() -> str:
    """Within this, and within one boot, a process number means one process at a time."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return _UNKNOWN


def _state_and_start(pid: int) -> tuple[str, str]:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return _UNKNOWN, _UNKNOWN
    fields = stat.rpartition(")")[2].split()  # the program's name, in brackets, may have spaces
    return fields[0], fields[19]
