"""A stand-in for Pidj in a process of its own, which counts what it is sent: ``python server.py PLAN``.

It is written with nothing but the standard library, and knows nothing of the package under test. It outlives the
processes that send to it, so its count is the truth about who got which text.

A text counts as taken (*acted on*) when its request has arrived in full and its fate says so, before anything is
replied. What happens to a request is drawn by chance from the plan, but by the number and how often it came: the same
seed means the same fates, in whatever order requests arrive.

PLAN is JSON::

    {"seed": 1,                         for the draws
     "fates": {"drop-after": 0.02},     the chance of each; a plain "ok" gets what is left
     "storm": [500, 30],                after each 500 requests, 30 in a row are told 429
     "outage": [500, 2.0],              after 500 texts it is gone for two seconds, with all its connections
     "delay": 0.003}                    how long a reply takes at most, in seconds

It listens on a port that the system chooses, prints it, and ends when its standard input does.

* ``GET /control/wait?texts=N`` is answered when N texts have been acted on, or with how many there are after 5 s.
* ``GET /control/log`` tells, for each number, what happened to each of its requests: ``[fate, acted on]``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import struct
import sys
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit


class Fate(NamedTuple):
    """What becomes of a request.

    Attributes:
        acted_on: Whether somebody is texted.
        status: What is replied; ``None`` if nothing is, or not all of it.
    """

    acted_on: bool
    status: int | None


FATES = {
    "ok": Fate(acted_on=True, status=200),
    "slow": Fate(acted_on=True, status=200),  # half a second late
    "unreadable": Fate(acted_on=True, status=200),  # no JSON
    "declined": Fate(acted_on=False, status=422),
    "throttled": Fate(acted_on=False, status=429),  # with Retry-After
    "503-after": Fate(acted_on=True, status=503),
    "503-before": Fate(acted_on=False, status=503),
    "500-after": Fate(acted_on=True, status=500),
    "drop-after": Fate(acted_on=True, status=None),
    "drop-before": Fate(acted_on=False, status=None),
    "reset-after": Fate(acted_on=True, status=None),
    "reset-before": Fate(acted_on=False, status=None),
    "cut-off": Fate(acted_on=True, status=None),  # half a reply
    "hang-after": Fate(acted_on=True, status=None),
    "hang-before": Fate(acted_on=False, status=None),
}

#: After these nobody but the server knows whether the text was acted on.
AMBIGUOUS = frozenset(name for name, fate in FATES.items() if fate.status is None or fate.status >= 500)

RETRY_AFTER = 0.2
SLOW = 0.5
LONGEST_HANG = 30.0
LONGEST_WAIT = 5.0
_RST_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, for zero seconds: closing sends RST instead of FIN


class Server:
    """Counts texts.

    Args:
        plan: See the head of this module.
    """

    def __init__(self, plan: Mapping[str, Any]) -> None:
        self.texts = 0
        self.requests = 0
        self.log: defaultdict[str, list[tuple[str, bool]]] = defaultdict(list)
        self._seed = plan.get("seed", 0)
        self._fates: dict[str, float] = plan.get("fates", {})
        self._delay = float(plan.get("delay", 0.0))
        self._calm, self._storm = plan.get("storm", [0, 0])
        self._outage_at, self._outage = plan.get("outage", [0, 0.0])
        self._outages: list[asyncio.Task[None]] = []
        self._listener: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self.port = 0
        self._chance = random.Random(self._seed)
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        unknown = set(self._fates) - set(FATES)
        if unknown:
            message = f"no such fate: {unknown}"
            raise ValueError(message)

    async def listen(self) -> None:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=1024)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def _go_away(self) -> None:
        """Refuse connections, and end those there are: whoever waits for a reply gets none."""
        assert self._listener is not None
        self._listener.close()
        for connection in self._connections:
            connection.transport.abort()
        await asyncio.sleep(self._outage)
        await self.listen()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        # The other side may vanish at any moment, that is what all this is for; and so may we.
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            while await self._one(reader, writer):
                pass
        self._connections.discard(writer)
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request, and tell whether the connection goes on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        url = urlsplit(target)
        match method, url.path:
            case "POST", "/api/2020/send":
                return await self._text(reader, writer, headers, body.decode())
            case (("GET" | "POST"), "/api/2020/authorization-check"):
                return await _reply(writer, 200, {"message": "Authorized."})
            case "GET", "/control/wait":
                await self._wait(int(parse_qs(url.query)["texts"][0]))
                return await _reply(writer, 200, {"texts": self.texts})
            case "GET", "/control/log":
                return await _reply(writer, 200, {"requests": self.requests, "log": self.log})
            case _:
                return await _reply(writer, 404, {"message": "not found"})

    async def _wait(self, texts: int) -> None:
        if self.texts < texts:
            future = asyncio.get_running_loop().create_future()
            self._waiting.append((texts, future))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(future, LONGEST_WAIT)

    def _fate_of(self, number: str) -> str:
        self.requests += 1
        if self._storm and self.requests % (self._calm + self._storm) >= self._calm:
            return "throttled"
        drawn = random.Random(f"{self._seed} {number} {len(self.log[number])}").random()
        for name, chance in self._fates.items():
            drawn -= chance
            if drawn < 0:
                return name
        return "ok"

    def _act(self, number: str, name: str) -> None:
        acted_on = FATES[name].acted_on
        self.log[number].append((name, acted_on))
        if acted_on:
            self.texts += 1
            if self.texts == self._outage_at:
                self._outages.append(asyncio.create_task(self._go_away()))
            for texts, future in self._waiting:
                if self.texts >= texts and not future.done():
                    future.set_result(None)
            self._waiting = [one for one in self._waiting if not one[1].done()]

    async def _text(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, headers: Mapping[str, str], body: str
    ) -> bool:
        form = parse_qs(body, strict_parsing=True)
        if not headers.get("authorization", "").startswith("Basic "):
            return await _reply(writer, 401, {"message": "who are you?"})
        if not {"to_number", "text_body"} <= form.keys() or ("from_number" in form) == ("group_id" in form):
            return await _reply(writer, 400, {"message": "that is no text"})
        (number,) = form["to_number"]
        name = self._fate_of(number)
        self._act(number, name)
        if self._delay:
            await asyncio.sleep(self._chance.uniform(0, self._delay))
        status = FATES[name].status
        if status is None:
            await _break(name.removesuffix("-after").removesuffix("-before"), reader, writer)
            return False
        if name == "slow":
            await asyncio.sleep(SLOW)
        fields = None if name == "unreadable" else {"message": name, "contacts": []}
        return await _reply(writer, status, fields, f"Retry-After: {RETRY_AFTER}\r\n" if status == 429 else "")


async def _break(how: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Do what comes instead of a reply; the connection is closed after that."""
    match how:
        case "reset":
            sock: socket.socket = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
            writer.transport.abort()
        case "hang":
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader.read(), LONGEST_HANG)
        case "cut-off":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{")
            await writer.drain()
        case _:
            assert how == "drop"


async def _reply(writer: asyncio.StreamWriter, status: int, fields: Mapping[str, Any] | None, extra: str = "") -> bool:
    envelope = {"code": status, "status": "success" if status < 300 else "error", **(fields or {})}
    body = b"<html>" if fields is None else json.dumps(envelope).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{extra}Content-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()
    return True


async def main(plan: str) -> None:
    server = Server(json.loads(plan))
    await server.listen()
    print(server.port, flush=True)  # noqa: T201  whoever started it reads that
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, ended.set)
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
