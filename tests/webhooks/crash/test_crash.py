"""The server is killed again and again while events pour in, and nothing that got a 200 is lost.

Each number has its own events, numbered, and the next is posted when the last got its 200. Whatever gets no reply is
posted again, as a sender that retries would. So, in the log of what was handled, a number's events must never go
backwards; they may repeat.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import random
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import attrs
import pytest

from pidj_async.store import Store
from pidj_async.suppressions import Suppressions
from pidj_async.webhooks import Inbox, sample

from .server import SECRET

SERVER = Path(__file__).with_name("server.py")
CREDENTIALS = base64.b64encode(f"pidj:{SECRET}".encode()).decode()
HEAD = f"POST /webhooks HTTP/1.1\r\nHost: shop.example\r\nAuthorization: Basic {CREDENTIALS}\r\nContent-Length: "
CONNECTIONS = 40
NUMBERS_EACH = 5


@attrs.define
class Tally:
    """What the senders know."""

    total: int
    accepted: dict[str, int] = attrs.field(factory=dict)
    wanted: dict[str, bool] = attrs.field(factory=dict)
    count: int = 0
    repeats: int = 0
    kills: int = 0
    changed: asyncio.Event = attrs.field(factory=asyncio.Event)


def body(number: str, turn: int, message: str) -> bytes:
    text = {"phone_from": number, "message": message, "contact": {"phone": number, "external_id": str(turn)}}
    return json.dumps(sample("text-received", text=text)).encode()


class Connection:
    """As much HTTP as it takes, and no more: a client library would be the slowest part of this test."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, content: bytes) -> int:
        """Return the reply's status. `OSError` and `EOFError`: there was none."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        try:
            writer.write(f"{HEAD}{len(content)}\r\n\r\n".encode() + content)
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            await reader.readexactly(int(head.split("content-length: ")[1].split("\r\n")[0]))
        except (OSError, EOFError):
            await self.close()
            raise
        return int(head.split()[1])

    async def close(self) -> None:
        if self._streams is not None:
            _, writer = self._streams
            self._streams = None
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def send(port: int, numbers: list[str], share: int, tally: Tally) -> None:
    connection = Connection(port)
    chance = random.Random(numbers[0])
    for turn in range(share):
        number = numbers[turn % len(numbers)]
        message = chance.choice(["STOP", "START", "When do you open?", "Yes"])
        content = body(number, turn, message)
        while True:
            try:
                status = await connection.post(content)
            except (OSError, EOFError):
                tally.repeats += 1
                await asyncio.sleep(0.01)
                continue
            if status == 200:
                break
            assert status == 503
            tally.repeats += 1
        tally.accepted[number] = turn
        if message in {"STOP", "START"}:
            tally.wanted[number] = message == "STOP"
        tally.count += 1
        tally.changed.set()
    await connection.close()


def start(store_url: str, log: Path, listening: socket.socket) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(SERVER), store_url, str(log), str(listening.fileno())]
    return subprocess.Popen(command, pass_fds=[listening.fileno()])


async def bombard(store_url: str, log: Path, posts: int, kills: int) -> Tally:
    share = posts // CONNECTIONS
    tally = Tally(total=share * CONNECTIONS)
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listening:
        port = listening.getsockname()[1]
        server = start(store_url, log, listening)
        try:
            async with asyncio.TaskGroup() as group:
                for which in range(CONNECTIONS):
                    numbers = [f"+1888{which:03d}{each:04d}" for each in range(2_000, 2_000 + NUMBERS_EACH)]
                    group.create_task(send(port, numbers, share, tally))
                for kill in range(1, kills + 1):
                    while tally.count < tally.total * kill // (kills + 1):
                        tally.changed.clear()
                        await tally.changed.wait()
                    server.kill()
                    tally.kills += 1
                    assert await asyncio.to_thread(server.wait) == -signal.SIGKILL
                    server = start(store_url, log, listening)
            await everything_handled(store_url)
            server.terminate()
            assert await asyncio.to_thread(server.wait, 30) in {0, -signal.SIGTERM}
        finally:
            server.kill()
            server.wait()
    return tally


async def everything_handled(store_url: str) -> None:
    async with Store(store_url) as store:
        inbox = Inbox(store)
        # Another process empties it.
        while (counts := await inbox.counts())["pending"] or counts["leased"]:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        assert counts["dead"] == counts["quarantined"] == 0


@pytest.mark.parametrize(
    ("posts", "kills"),
    [
        (5_000, 3),
        pytest.param(100_000, 20, marks=[pytest.mark.soak, pytest.mark.timeout(3_600)]),
    ],
)
def test_no_event_that_got_a_200_is_lost(store_url: str, tmp_path: Path, posts: int, kills: int) -> None:
    """Every accepted event is handled at least once, each number's in order, and the suppression list is right."""
    log = tmp_path / "handled.log"
    started = time.perf_counter()
    tally = asyncio.run(bombard(store_url, log, posts, kills))
    elapsed = time.perf_counter() - started

    handled = defaultdict(list)
    for line in log.read_text().splitlines():
        number, turn, _ = line.split()
        handled[number].append(int(turn))
    lines = sum(map(len, handled.values()))
    print(f"{tally.count} accepted, {tally.repeats} repeats, {lines} handled, {tally.kills} kills, {elapsed:.1f} s")  # noqa: T201

    assert (tally.total, kills) == (tally.count, tally.kills)
    for number, last in tally.accepted.items():
        first = last % NUMBERS_EACH
        assert set(range(first, last + 1, NUMBERS_EACH)) == set(handled[number])
        assert sorted(handled[number]) == handled[number]
    assert tally.wanted == asyncio.run(suppressed(store_url, list(tally.wanted)))


async def suppressed(store_url: str, numbers: list[str]) -> dict[str, bool]:
    async with Store(store_url) as store:
        suppressions = Suppressions(store)
        return {number: await suppressions.is_suppressed(number) for number in numbers}
