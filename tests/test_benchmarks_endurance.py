"""The benchmark of endurance measures what it says: a smoke dose, without a word about time."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.contenders import TRANSPORTS
from benchmarks.endurance import EnduranceJob, Endured, endure, report_endurance
from benchmarks.server import Counts, serve
from pidj_async.transports import TransportName


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_as_many_are_sent_as_were_asked_for(transport: TransportName) -> None:
    """A hundred windows of equal size, after a thousand that are not in the figures."""

    async def send() -> tuple[Endured, Counts]:
        counts = Counts()
        async with serve(counts) as port:
            base_url = f"http://127.0.0.1:{port}/api/2020"
            job = EnduranceJob(transport=transport, base_url=base_url, requests=250, concurrency=3)
            return await endure(job), counts

    endured, counts = asyncio.run(send())
    assert (200, 100, 100) == (endured.requests, len(endured.cpu), len(endured.memory))
    assert Counts(right=1_200, wrong=0) == counts
    assert min(endured.memory) > 0


@pytest.mark.parametrize(
    ("last", "verdicts"),
    [
        (1.0, ["+0.0% (target: at most +5%: met)", "+0.0% (target: at most +1%: met)"]),
        (1.06, ["+6.0% (target: at most +5%: MISSED)", "+6.0% (target: at most +1%: MISSED)"]),
    ],
)
def test_the_last_tenth_is_judged_against_the_first(last: float, verdicts: list[str]) -> None:
    """By what a call costs and by what the process holds; a window in the middle changes neither."""
    factors = [1.0] * 50 + [9.0] + [1.0] * 39 + [last] * 10
    endured = Endured(
        requests=1_000_000,
        cpu=tuple(100.0 * one for one in factors),
        memory=tuple(int(50_000_000 * one) for one in factors),
    )
    printed = report_endurance(EnduranceJob(), endured).splitlines()
    assert "| 100,000 | 100.0 | 50.0 |" in printed
    assert f"| 1,000,000 | {100 * last:.1f} | {50 * last:.1f} |" in printed
    assert verdicts == [line.partition(": ")[2] for line in printed[-2:]]


def test_the_command_sends_in_a_process_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It starts a server and a client, and leaves the windows as JSON."""
    written = tmp_path / "windows.json"
    assert main(["endurance", "--requests", "200", "--json", str(written)]) == 0
    assert "200 requests over" in capsys.readouterr().out
    assert 100 == len(json.loads(written.read_text())["cpu"])
