"""Which process a worker is: a dead one is known to be dead, and nobody else is."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pidj_async.campaigns.identity import is_known_dead, this_process

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere nobody is known to be dead")
SAY = "from pidj_async.campaigns.identity import this_process; print(this_process(), flush=True); input()"


def start() -> tuple[subprocess.Popen[str], str]:
    """Start a process that says who it is, and waits."""
    process = subprocess.Popen(
        [sys.executable, "-c", SAY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def changed(identity: str, field: int, value: str) -> str:
    fields = identity.split(":")
    fields[field] = value
    return ":".join(fields)


def test_this_process_lives() -> None:
    """It has one name, which fits into the store, and is not dead."""
    assert (this_process(), False) == (this_process(), is_known_dead(this_process()))
    assert len(this_process()) <= 200


@linux
def test_a_process_is_dead_once_it_has_ended() -> None:
    """And not before; also while nobody has asked for its exit status."""
    process, identity = start()
    try:
        assert not is_known_dead(identity)
        os.kill(process.pid, signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert is_known_dead(identity), "a zombie sends nothing"
    finally:
        end(process)
    assert is_known_dead(identity)


@linux
def test_a_stopped_process_is_not_dead() -> None:
    """It may go on."""
    process, identity = start()
    try:
        os.kill(process.pid, signal.SIGSTOP)
        assert not is_known_dead(identity)
    finally:
        end(process)


@linux
def test_a_number_that_was_given_again() -> None:
    """Is another process: the one that started at another time is dead."""
    assert is_known_dead(changed(this_process(), 3, "1"))


@linux
def test_of_another_machine_nothing_is_known() -> None:
    """Nor of another boot, or another container: its numbers mean others."""
    process, identity = start()
    end(process)
    assert is_known_dead(identity)
    assert not is_known_dead(changed(identity, 1, "00000000-0000-0000-0000-000000000000/1"))


@pytest.mark.parametrize(
    "identity", ["", "x", "a:b:c:d", "a:b:-1:d", "a:b:0:d", "a:?:99999999:5", "a:b:٣:d", "::::", "a:b:1:?"]
)
def test_what_cannot_be_read_is_not_dead(identity: str) -> None:
    """An identity of an older version, say: its lease has to run out."""
    assert not is_known_dead(identity)


@linux
def test_a_number_that_no_process_can_have() -> None:
    """Belongs to nobody, and nothing breaks."""
    assert not is_known_dead(changed(this_process(), 2, "9" * 30))


@linux
def test_of_somebody_elses_process_nothing_wrong_is_said() -> None:
    """The first process of the machine lives, whoever asks."""
    _, namespace, _, _ = this_process().split(":")
    started = Path("/proc/1/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    assert not is_known_dead(f"{socket.gethostname()}:{namespace}:1:{started}")
