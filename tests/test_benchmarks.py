"""The benchmarks measure what they say: a smoke dose, without a word about time."""

from __future__ import annotations

import asyncio
import json
import selectors
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import urlencode

import attrs
import pytest

from benchmarks import calls, rivals
from benchmarks.__main__ import main
from benchmarks._host import cores
from benchmarks.calls import Figures, Measured, MeasuredPair, Options, counts_of, report, server
from benchmarks.contenders import (
    CLIENT_ALONE,
    CONTENDERS,
    FLOOR,
    FLOOR_BUFFERED,
    HTTPX,
    HTTPX_FITTED,
    SEND_MANY,
    TRANSPORTS,
    alone,
    over,
)
from benchmarks.dialects import DIALECTS, Dialect
from benchmarks.imports import STATEMENTS, report_imports
from benchmarks.rivals import AIOHTTP, PACKAGES, SLACK, TELNYX, TWILIO, missing
from benchmarks.run import PAIR, Job, Run, perform, perform_pair
from benchmarks.server import Counts, NeverAsleep, ServerJob, serve
from benchmarks.texts import AUTHORIZATION, PATH, SENDER, TEXT, Dose, form
from pidj_async.transports import TransportName

ROOT = Path(__file__).parent.parent
SENDING = [name for name in CONTENDERS if name != CLIENT_ALONE]
PIDJ, TRANSPORT = over("httpx"), alone("httpx")


def job(contender: str, port: int, *, requests: int) -> Job:
    base_url = f"http://127.0.0.1:{port}/api/2020"
    return Job(contender=contender, base_url=base_url, concurrency=3, requests=requests, seconds=30.0)


async def dose(contender: str) -> tuple[Run, Counts]:
    counts = Counts()
    async with serve(counts) as port:
        return await perform(job(contender, port, requests=20)), counts


@pytest.mark.filterwarnings("ignore:.*is deprecated and will be removed")  # of aiohttp, by Twilio's SDK
@pytest.mark.parametrize("contender", SENDING)
def test_a_contender_sends_what_it_claims(contender: str) -> None:
    """Each contender sends as many requests as it was told, all of them right, and the server counts the same."""
    if package := missing(contender):
        pytest.skip(f"{package} is not installed; the extra `benchmark` has it")
    run, counts = asyncio.run(dose(contender))
    assert run.requests == 20
    assert Counts(right=run.requests + run.warm_up, wrong=0) == counts


def test_the_client_alone_sends_nothing() -> None:
    """The contender without I/O makes its calls and reaches no server."""
    run, counts = asyncio.run(dose(CLIENT_ALONE))
    assert run.requests == 20
    assert Counts() == counts


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_pair_sends_what_it_claims(transport: TransportName) -> None:
    """Client and transport in turns send right requests only, and count them all."""

    async def turns() -> tuple[int, Counts]:
        counts = Counts()
        async with serve(counts) as port:
            pair = await perform_pair(attrs.evolve(job(PAIR, port, requests=1), transport=transport))
        return pair.requests, counts

    requests, counts = asyncio.run(turns())
    assert Counts(right=requests, wrong=0) == counts


HEAD = f"POST {PATH} HTTP/1.1\r\nAuthorization: {AUTHORIZATION}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
WRONG = {
    "path": HEAD.replace("/send", "/spend"),
    "authorization": HEAD.replace("Authorization: Basic ", "Authorization: Basic QQ"),
    "no authorization": HEAD.replace("Authorization", "Authorisation"),
    "content type": HEAD.replace("x-www-form-urlencoded", "json"),
}


@pytest.mark.parametrize(
    "body", [form("+18885550000"), form("+18885550000").replace(b"%2B", b"+")], ids=["right", "wrong"]
)
@pytest.mark.parametrize("head", [HEAD, *WRONG.values()], ids=["right", *WRONG])
def test_the_server_knows_a_wrong_request(head: str, body: bytes) -> None:
    """A request with one wrong part is counted as wrong, and only an entirely right one as right."""

    async def ask() -> Counts:
        counts = Counts()
        async with serve(counts) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            # In two pieces, as some clients write it.
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
            await writer.drain()
            writer.write(body)
            await reader.readuntil(b"}")
            writer.close()
            await writer.wait_closed()
        return counts

    right = head == HEAD and body == form("+18885550000")
    assert Counts(right=int(right), wrong=int(not right)) == asyncio.run(ask())


def figures(concurrency: int = 100) -> Figures:
    rates = {
        **dict.fromkeys(CONTENDERS, 3_000),
        PIDJ: 2_000,
        SEND_MANY: 1_500,
        AIOHTTP: 4_000,
        HTTPX: 400,
        HTTPX_FITTED: 50,
        TWILIO: 1_600,
        TELNYX: 2_500,
        SLACK: 1_500,
        TRANSPORT: 2_500,
        FLOOR: 20_000,
        FLOOR_BUFFERED: 40_000,
        CLIENT_ALONE: 1,
    }
    runs = tuple(
        Measured(
            contender=contender,
            concurrency=concurrency,
            round=0,
            run=Run(requests=rate, warm_up=0, seconds=1.0, cpu_seconds=0.5),
            server_busy_seconds=0.95 if contender == FLOOR else 0.25,
        )
        for contender, rate in rates.items()
    )
    pairs = [MeasuredPair(transport="httpx", concurrency=concurrency, round=0, above=above) for above in (14.0, 15.0)]
    return Figures(runs=runs, pairs=tuple(pairs))


@pytest.fixture
def _everything_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "missing", lambda _: None)


@pytest.mark.usefixtures("_everything_installed")
def test_the_table_gives_ratios_to_others_and_to_the_floor() -> None:
    """A row holds rate, CPU, the ratios, the spread and the server's load; the lines below it judge the targets."""
    printed = report(Options(concurrency=(100,)), figures()).splitlines()
    assert f"| 100 | {PIDJ} | 2,000 | 250 | 5.00 | 0.50 | 0.10 | 2,000-2,000 | 25% |" in printed
    assert "| 100 | httpx.AsyncClient, fitted limits | 50 | 10,000 | 0.12 | 0.01 | 0.00 | 50-50 | 25% |" in printed
    assert "our own CPU per call above the httpx transport at c=100: 14.5 us (target: at most 15: met)" in printed
    assert f"{PIDJ} at c=100: 5.00 times plain httpx (target: at least 5: met)" in printed
    assert f"{PIDJ} at c=100: 0.80 times {TELNYX} (target: at least 1: MISSED)" in printed


@pytest.mark.usefixtures("_everything_installed")
def test_the_report_says_whether_the_server_was_the_limit() -> None:
    """A contender that kept the server busy is named: its figure may be the server's."""
    printed = report(Options(concurrency=(100,)), figures()).splitlines()
    assert f"{FLOOR} at c=100 may have been held up by the server, which was busy 95%" in printed
    assert "with all others, the server was busy at most 25% of the time" in printed


@pytest.mark.usefixtures("_everything_installed")
@pytest.mark.parametrize(("cpu_seconds", "quiet"), [(0.9, True), (0.5, False)])
def test_the_report_says_whether_the_machine_was_quiet(cpu_seconds: float, *, quiet: bool) -> None:
    """With a hundred at a time, a client that is not busy has waited for a core that something else had."""
    runs = [attrs.evolve(one, run=attrs.evolve(one.run, cpu_seconds=cpu_seconds)) for one in figures().runs]
    printed = report(Options(concurrency=(100,)), Figures(runs=tuple(runs), pairs=()))
    assert quiet is ("THE MACHINE WAS NOT QUIET" not in printed)


@pytest.mark.usefixtures("_everything_installed")
def test_with_latency_there_is_an_ideal() -> None:
    """A thousand at a time, each after half a second, are two thousand a second at best; ratios mean nothing there."""
    printed = report(Options(concurrency=(1_000,), latency=0.5), figures(1_000))
    assert "the server answers after 500 ms" in printed
    assert f"{PIDJ} at c=1000: 100% of the ideal 2,000 a second (target: at least 95%: met)" in printed
    assert f"{SEND_MANY} at c=1000: 75% of the ideal 2,000 a second\n" in printed
    assert "times plain httpx" not in printed


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It is left out with a word on how to get it, and asking for all of it is an error."""
    monkeypatch.setattr(calls, "missing", PACKAGES.get)
    options = Options(concurrency=(100,))
    assert {AIOHTTP, TWILIO, TELNYX, SLACK} == set(options.only) - set(options.measured)
    assert f"{TWILIO} was not measured: pip install twilio" in report(options, figures()).splitlines()
    assert main(["--require-all", "--only", TWILIO, "--only", FLOOR]) == 1
    assert "pip install twilio" in capsys.readouterr().err


def test_a_package_that_is_not_installed_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its own name; a contender that needs none lacks none."""
    monkeypatch.setattr(rivals, "PACKAGES", {TWILIO: "no_such_package", AIOHTTP: "aiohttp"})
    assert ["no_such_package", None, None] == [missing(TWILIO), missing(AIOHTTP), missing(FLOOR)]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.path)
def test_the_server_knows_a_wrong_text_of_any_service(dialect: Dialect) -> None:
    """Another text, another recipient, one field more: none of them is what was meant to be sent."""
    right = {
        "/api/2020/send": form("+18885550000"),
        "/v2/messages": json.dumps({"to": "+18885550000", "from": SENDER, "text": TEXT}).encode(),
        "/api/chat.postMessage": json.dumps({"channel": "+18885550000", "text": TEXT}).encode(),
    }.get(dialect.path, urlencode({"To": "+18885550000", "From": SENDER, "Body": TEXT}).encode())
    assert dialect.is_right(right)
    for part, other in ((b"0000", b"x000"), (b"Reply", b"reply"), (b"18885550000", b"18885540000")):
        assert part in right
        assert not dialect.is_right(right.replace(part, other))


def test_the_latency_is_what_each_reply_waits() -> None:
    """Two at a time, over one connection each, both after as long."""

    async def ask(port: int) -> float:
        start = asyncio.get_running_loop().time()
        async with CONTENDERS[FLOOR](f"http://127.0.0.1:{port}/api/2020", 2) as drive:
            await drive(Dose(2, 30.0))
        return asyncio.get_running_loop().time() - start

    async def asked() -> tuple[float, Counts]:
        counts = Counts()
        async with serve(counts, 0.1) as port:
            return await ask(port), counts

    took, counts = asyncio.run(asked())
    assert 0.1 <= took < 5
    assert Counts(right=2, wrong=0) == counts


def test_a_selector_that_never_sleeps_waits_all_the_same() -> None:
    """It comes back when the time is over, and knows what it took to look in vain; what is there, it finds at once."""
    with closing(NeverAsleep()) as selector:
        start, cpu = time.perf_counter(), time.process_time()
        assert [] == selector.select(0.05)
        assert 0.05 <= time.perf_counter() - start
        assert 0 < selector.idle <= time.process_time() - cpu
        assert [] == selector.select(0)
        idle = selector.idle
        ours, theirs = socket.socketpair()
        with ours, theirs:
            selector.register(ours, selectors.EVENT_READ)
            theirs.send(b"x")
            assert [ours] == [key.fileobj for key, _ in selector.select(None)]
        assert idle == selector.idle


@pytest.mark.parametrize("sleeps", [True, False])
def test_a_server_tells_for_how_long_it_was_busy(*, sleeps: bool) -> None:
    """Waiting is not being busy, whether it sleeps meanwhile or looks for requests without end."""
    core, _ = cores()
    with server(ServerJob(core=core, sleeps=sleeps)) as port:
        before = counts_of(port)["busy_seconds"]
        time.sleep(0.5)
        assert counts_of(port)["busy_seconds"] - before < 0.25
        for _ in range(100):
            after = counts_of(port)["busy_seconds"]
        assert after > before


@pytest.mark.usefixtures("_everything_installed")
def test_a_client_that_has_no_more_cpu_has_not_missed_the_ideal() -> None:
    """With latency, the target is for those who have time to spare."""
    runs = [attrs.evolve(one, run=attrs.evolve(one.run, cpu_seconds=0.97)) for one in figures(1_000).runs]
    options = Options(concurrency=(1_000,), latency=0.1)
    target = "20% of the ideal 10,000 a second (target: at least 95%:"
    assert f"{PIDJ} at c=1000: {target} MISSED)" in report(options, figures(1_000))
    assert f"{PIDJ} at c=1000: {target} all that its CPU allows)" in report(
        options, Figures(runs=tuple(runs), pairs=())
    )


@pytest.mark.parametrize(("text", "seconds"), [("50ms", 0.05), ("0.5s", 0.5), ("2", 2.0), ("0", 0.0)])
def test_a_latency_can_be_written_in_three_ways(
    text: str, seconds: float, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With milliseconds, with seconds, and without a unit."""
    seen: list[Options] = []

    def measure(options: Options) -> Figures:
        seen.append(options)
        return Figures(runs=(), pairs=())

    monkeypatch.setattr("benchmarks.__main__.measure", measure)
    assert main(["--latency", text, "--only", FLOOR]) == 0
    assert [seconds] == [options.latency for options in seen]
    assert capsys.readouterr().out


@pytest.mark.usefixtures("_everything_installed")
def test_the_chart_shows_each_contender(tmp_path: Path) -> None:
    """As SVG, the same for the same figures, with a line and a name for whoever sends by itself."""
    pytest.importorskip("matplotlib", reason="the extra `benchmark` has it")
    from benchmarks.chart import draw  # noqa: PLC0415

    both = Figures(runs=(*figures(100).runs, *figures(1_000).runs), pairs=())
    files = [tmp_path / name for name in ("one.svg", "two.svg")]
    for file in files:
        draw(Options(concurrency=(100, 1_000)), both, file)
    drawn = files[0].read_text()
    assert drawn == files[1].read_text()
    for contender in SENDING:
        assert (contender not in map(alone, TRANSPORTS)) == (f"<!-- {contender} -->" in drawn)


def test_the_command_runs_and_writes_every_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command starts a server and a process per run, prints a row for each, and leaves the runs as JSON."""
    written = tmp_path / "figures.json"
    arguments = ["--concurrency", "2", "--requests", "10", "--rounds", "1", "--only", TRANSPORT, "--only", FLOOR]
    assert main([*arguments, "--server-sleeps", "--json", str(written)]) == 0
    rows = [line.split(" | ")[1] for line in capsys.readouterr().out.splitlines() if line.startswith("| 2 |")]
    assert [TRANSPORT, FLOOR] == rows
    runs = json.loads(written.read_text())["runs"]
    assert [(TRANSPORT, 10), (FLOOR, 10)] == [(run["contender"], run["run"]["requests"]) for run in runs]


def test_the_imports_are_judged_against_httpx() -> None:
    """The table of imports has a ratio for each statement, and the target is judged by the medians."""
    seconds = {statement: [0.1, 0.2, 0.4] for statement in STATEMENTS} | {"import pidj_async": [0.1, 0.3, 0.3]}
    printed = report_imports(seconds)
    assert "| `import pidj_async` | 300.0 | 100.0-300.0 | 1.50 | `import httpx` |" in printed
    assert printed.endswith("import pidj_async: 1.50 times import httpx (target: at most 1.3: MISSED)")


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_statement_of_the_imports_runs(statement: str) -> None:
    """Each statement that is timed works in a fresh interpreter."""
    assert subprocess.run([sys.executable, "-c", statement], cwd=ROOT, check=False, timeout=60).returncode == 0
