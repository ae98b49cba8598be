"""The benchmark of ingestion measures what it says, without a word about time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path

import attrs
import pytest

from benchmarks import ingest
from benchmarks.__main__ import main
from benchmarks.ingest import Ingested, IngestFigures, IngestOptions, LostEventsError, measure_ingest, report_ingest
from benchmarks.ingest_load import Load, Posts, RefusedError, Wave, perform
from benchmarks.ingest_server import BARE, HANDLING, SERVERS, STORING, WEBHOOK_PATH
from benchmarks.texts import NUMBERS, TOKEN
from pidj_async.webhooks import Dispatcher, Receiver, TextReceived, WebhookRequest, parse_event


def request_of(post: bytes) -> WebhookRequest:
    head, _, body = post.partition(b"\r\n\r\n")
    line, *headers = head.decode().split("\r\n")
    method, path, _ = line.split(" ")
    pairs = [(name, value) for name, _, value in (header.partition(": ") for header in headers)]
    return WebhookRequest(method=method, path=path, headers=pairs, body=body)


def test_a_post_is_what_a_receiver_takes() -> None:
    """Every post names its length and holds the secret, so that a receiver handles it."""
    request = request_of(next(Posts(7)))
    receiver = Receiver(Dispatcher(), secret=TOKEN, path=WEBHOOK_PATH)
    assert receiver.check(request) is None
    assert str(len(request.body)) == request.header("content-length")


def test_no_two_posts_are_alike() -> None:
    """Each post has a text of its own, and the numbers take turns: nothing is a duplicate, and no order is forced."""
    events = [parse_event(request_of(post).body) for post in islice(Posts(998), 4)]
    texts = [event for event in events if isinstance(event, TextReceived)]
    assert ["Text 0000000998", "Text 0000000999", "Text 0000001000", "Text 0000001001"] == [t.message for t in texts]
    assert [NUMBERS[998], NUMBERS[999], NUMBERS[0], NUMBERS[1]] == [text.phone_number for text in texts]


@pytest.mark.parametrize(("distinct", "different"), [(False, 1), (True, 4)])
def test_heads_are_alike_unless_told_otherwise(*, distinct: bool, different: int) -> None:
    """A header of its own for each request is what a proxy that traces adds; the receiver takes either."""
    requests = [request_of(post) for post in islice(Posts(998, distinct_heads=distinct), 4)]
    assert different == len({request.headers for request in requests})
    receiver = Receiver(Dispatcher(), secret=TOKEN, path=WEBHOOK_PATH)
    assert [None] * 4 == [receiver.check(request) for request in requests]


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@asynccontextmanager
async def answering(answer: Callable[[int], bytes | None]) -> AsyncGenerator[int]:
    """Serve a reply to each post, by its number; ``None`` hangs up."""
    taken = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0]))
                taken += 1
                reply = answer(taken)
                if reply is None:
                    return
                # In two pieces, as a server may well send it.
                writer.write(reply[:20])
                await writer.drain()
                writer.write(reply[20:])
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def post(answer: Callable[[int], bytes | None], *, rate: float | None) -> tuple[Wave, int]:
    answered = 0

    def counted(number: int) -> bytes | None:
        nonlocal answered
        answered = number
        return answer(number)

    async def whole() -> Wave:
        async with answering(counted) as port:
            return await perform(Load(port=port, connections=3, seconds=0.2, rate=rate, first=0))

    return asyncio.run(whole()), answered


@pytest.mark.parametrize("rate", [None, 100.0], ids=["saturated", "paced"])
def test_the_load_is_what_it_claims(rate: float | None) -> None:
    """As many posts are counted as the server answered."""
    wave, answered = post(lambda _: OK, rate=rate)
    assert answered == wave.warm_up + wave.posts
    assert 0 < wave.p50 <= wave.p99 <= wave.worst


def test_a_pace_is_kept() -> None:
    """At a pace, as many posts are sent as the rate and the time say, no more and no fewer."""
    wave, _ = post(lambda _: OK, rate=100.0)
    assert wave.posts == 20


@pytest.mark.parametrize("rate", [None, 100.0], ids=["saturated", "paced"])
@pytest.mark.parametrize("reply", [OK.replace(b"200 OK", b"503 No"), None], ids=["refused", "hung up"])
def test_a_post_that_is_not_acknowledged_ends_the_load(reply: bytes | None, rate: float | None) -> None:
    """Whatever is no 200 makes the figures void, in the warm-up and later."""
    for when in (1, 201):
        with pytest.raises(RefusedError):
            post(lambda number, when=when: reply if number >= when else OK, rate=rate)  # type: ignore[misc]


def figures() -> IngestFigures:
    def wave(posts: int, p99: float) -> Wave:
        return Wave(warm_up=0, posts=posts, seconds=1.0, p50=1.0, p99=p99, worst=99.0)

    rates = {BARE: 10_000, STORING: 6_000, HANDLING: 5_900}
    tails = {BARE: 2.0, STORING: 49.9, HANDLING: 50.0}
    runs = [
        Ingested(
            server=server,
            round=0,
            paced=wave(300, tails[server]),
            saturated=wave(rates[server], 20.0),
            server_cpu_seconds=0.9,
            handled=0.5 if server == HANDLING else 0.0,
        )
        for server in SERVERS
    ]
    return IngestFigures(runs=tuple(runs), commit=0.25)


def test_the_table_gives_ratios_to_the_bare_route() -> None:
    """A row holds rate, ratio, spread, CPU and latencies; the lines below it judge both targets."""
    printed = report_ingest(IngestOptions(), figures()).splitlines()
    assert f"| {STORING} | 6,000 | 0.60 | 6,000-6,000 | 150 | 20.0 | 1.0 | 49.9 | 99.0 | - |" in printed
    assert f"| {HANDLING} | 5,900 | 0.59 | 5,900-5,900 | 153 | 20.0 | 1.0 | 50.0 | 99.0 | 50% |" in printed
    assert printed[-4:] == [
        f"{STORING}: 0.60 times a bare route (target: at least 0.6: met)",
        f"{STORING}: p99 of the acknowledgement at 300/s: 49.9 ms (target: under 50: met)",
        f"{HANDLING}: 0.59 times a bare route (target: at least 0.6: MISSED)",
        f"{HANDLING}: p99 of the acknowledgement at 300/s: 50.0 ms (target: under 50: MISSED)",
    ]


def test_the_command_measures_every_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command starts each server on a store of its own, prints a row for each, and leaves the runs as JSON."""
    written = tmp_path / "figures.json"
    assert main(["ingest", "--seconds", "0.2", "--rounds", "1", "--json", str(written)]) == 0
    rows = [line.split(" | ")[0] for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert ["| server", *(f"| {server}" for server in SERVERS)] == rows
    runs = json.loads(written.read_text())["runs"]
    assert [(server, 60) for server in SERVERS] == [(run["server"], run["paced"]["posts"]) for run in runs]


def test_events_that_are_not_stored_void_the_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """If fewer events are stored than were acknowledged, there are no figures."""
    monkeypatch.setattr(ingest, "_states", lambda _: {"pending": 1})
    monkeypatch.setattr(ingest, "SERVERS", (STORING,))
    with pytest.raises(LostEventsError, match="are stored"):
        measure_ingest(attrs.evolve(IngestOptions(), seconds=0.1, rounds=1))
