"""The benchmarks measure what they say: a smoke dose, without a word about time."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.calls import Figures, Measured, MeasuredPair, Options, report
from benchmarks.contenders import CLIENT_ALONE, CONTENDERS, FLOOR, HTTPX, HTTPX_FITTED, PIDJ, SEND_MANY, TRANSPORT
from benchmarks.imports import STATEMENTS, report_imports
from benchmarks.run import Job, Run, perform, perform_pair
from benchmarks.server import Counts, serve
from benchmarks.texts import AUTHORIZATION, PATH, form

ROOT = Path(__file__).parent.parent
SENDING = [name for name in CONTENDERS if name != CLIENT_ALONE]


def job(contender: str, port: int, *, requests: int) -> Job:
    base_url = f"http://127.0.0.1:{port}/api/2020"
    return Job(contender=contender, base_url=base_url, concurrency=3, requests=requests, seconds=30.0)


async def dose(contender: str) -> tuple[Run, Counts]:
    counts = Counts()
    async with serve(counts) as port:
        return await perform(job(contender, port, requests=20)), counts


@pytest.mark.parametrize("contender", SENDING)
def test_a_contender_sends_what_it_claims(contender: str) -> None:
    """Each contender sends as many requests as it was told, all of them right, and the server counts the same."""
    run, counts = asyncio.run(dose(contender))
    assert run.requests == 20
    assert Counts(right=run.requests + run.warm_up, wrong=0) == counts


def test_the_client_alone_sends_nothing() -> None:
    """The contender without I/O makes its calls and reaches no server."""
    run, counts = asyncio.run(dose(CLIENT_ALONE))
    assert run.requests == 20
    assert Counts() == counts


def test_the_pair_sends_what_it_claims() -> None:
    """Client and transport in turns send right requests only, and count them all."""

    async def turns() -> tuple[int, Counts]:
        counts = Counts()
        async with serve(counts) as port:
            pair = await perform_pair(job(PIDJ, port, requests=1))
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


def figures() -> Figures:
    rates = {
        PIDJ: 2_000,
        SEND_MANY: 1_500,
        HTTPX: 400,
        HTTPX_FITTED: 50,
        TRANSPORT: 2_500,
        FLOOR: 20_000,
        CLIENT_ALONE: 1,
    }
    runs = tuple(
        Measured(
            contender=contender,
            concurrency=100,
            round=0,
            run=Run(requests=rate, warm_up=0, seconds=1.0, cpu_seconds=0.5),
            server_cpu_seconds=0.25,
        )
        for contender, rate in rates.items()
    )
    return Figures(
        runs=runs, pairs=tuple(MeasuredPair(concurrency=100, round=0, above=above) for above in (19.0, 21.0))
    )


def test_the_table_gives_ratios_to_the_faster_httpx_and_to_the_floor() -> None:
    """A row holds rate, CPU, both ratios, the spread and the server's load; the lines below it judge the targets."""
    printed = report(Options(concurrency=(100,)), figures()).splitlines()
    assert "| 100 | Pidj.messages.send | 2,000 | 250 | 5.00 | 0.10 | 2,000-2,000 | 25% |" in printed
    assert "| 100 | httpx.AsyncClient, fitted limits | 50 | 10,000 | 0.12 | 0.00 | 50-50 | 25% |" in printed
    assert "our own CPU per call above the bare transport at c=100: 20.0 us (target: at most 25: met)" in printed
    assert f"{PIDJ} at c=100: 5.00 times plain httpx (target: at least 5: met)" in printed
    assert f"{SEND_MANY} at c=100: 3.75 times plain httpx (target: at least 5: MISSED)" in printed


def test_the_command_runs_and_writes_every_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command starts a server and a process per run, prints a row for each, and leaves the runs as JSON."""
    written = tmp_path / "figures.json"
    arguments = ["--concurrency", "2", "--requests", "10", "--rounds", "1", "--only", TRANSPORT, "--only", FLOOR]
    assert main([*arguments, "--json", str(written)]) == 0
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
