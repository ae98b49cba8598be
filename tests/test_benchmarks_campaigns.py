"""The benchmark of campaigns measures what it says: a smoke dose, without a word about time."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import attrs
import pytest

from benchmarks import campaigns
from benchmarks.__main__ import main
from benchmarks.calls import WrongRequestsError
from benchmarks.campaigns import (
    CONTENDERS,
    CampaignFigures,
    CampaignOptions,
    CampaignRun,
    measure_campaigns,
    report_campaigns,
    report_scale,
)
from benchmarks.campaigns_run import CAMPAIGN, Campaigned, CampaignJob, perform_campaign
from benchmarks.contenders import HTTPX, SEND_MANY, send_many
from benchmarks.rivals import AIOHTTP, TWILIO, missing
from benchmarks.server import Counts, serve
from benchmarks.texts import Dose, index_of, person


def test_everybody_has_a_number_of_their_own() -> None:
    """From the number back to the person; other numbers are nobody's."""
    for index in (0, 1, 1_000_000, 6_999_999):
        assert index == index_of(person(index))
    for other in ("+18885550000", "+13031999999", "+1303200000", "+13032000000x", "13032000000", "+1303200 000"):
        assert index_of(other) is None


@pytest.mark.filterwarnings("ignore:.*is deprecated and will be removed")  # of aiohttp, by Twilio's SDK
@pytest.mark.parametrize("contender", CONTENDERS)
def test_a_contender_texts_everybody_once(contender: str, tmp_path: Path) -> None:
    """As many people as it was told, and those before who open the connections: each of them once."""
    if package := missing(contender):
        pytest.skip(f"{package} is not installed; the extra `benchmark` has it")

    async def send() -> tuple[Campaigned, Counts]:
        counts = Counts()
        async with serve(counts, people=220) as port:
            job = CampaignJob(
                contender=contender,
                base_url=f"http://127.0.0.1:{port}/api/2020",
                concurrency=3,
                recipients=20,
                seconds=30.0,
                store=f"sqlite:///{tmp_path / 'ledger.db'}",
            )
            return await perform_campaign(job), counts

    done, counts = asyncio.run(send())
    assert 20 == done.requests
    assert Counts(right=220, wrong=0, twice=0) == counts


def test_the_server_notices_who_is_texted_twice() -> None:
    """The second text to somebody counts as one too many, a text to somebody who is not there as wrong."""

    async def send() -> Counts:
        counts = Counts()
        async with serve(counts, people=4) as port:
            base_url = f"http://127.0.0.1:{port}/api/2020"
            for first in (0, 2):
                async with send_many(base_url, 1) as drive:
                    await drive(Dose(3, 30.0, whom=person, first=first))
        return counts

    assert Counts(right=4, wrong=1, twice=1) == asyncio.run(send())


def run(contender: str, rate: float, **changes: Any) -> CampaignRun:
    done = Campaigned(
        requests=int(rate),
        seconds=1.0,
        cpu_seconds=0.5,
        loading_seconds=2.5,
        loading_cpu_seconds=1.0,
        memory=90_000_000,
    )
    made = CampaignRun(
        contender=contender, concurrency=100, recipients=100_000, round=0, run=done, server_busy_seconds=0.4
    )
    return attrs.evolve(made, **changes)


def figures(*runs: CampaignRun) -> CampaignFigures:
    return CampaignFigures(runs=runs, commit=0.25, load=(0.5, 2.0))


@pytest.mark.parametrize(
    ("rate", "of_bulk", "of_twilio"), [(7_000.0, "0.70", "1.00"), (6_900.0, "0.69", "0.99")], ids=["met", "missed"]
)
def test_the_table_gives_ratios_to_our_bulk_call(
    rate: float, of_bulk: str, of_twilio: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row for each contender, and below it both targets, judged; the loading stands apart."""
    monkeypatch.setattr(campaigns, "missing", lambda _: None)
    rates = {CAMPAIGN: rate, SEND_MANY: 10_000.0, AIOHTTP: 5_000.0, TWILIO: 7_000.0, HTTPX: 100.0}
    found = figures(*(run(name, rate) for name, rate in rates.items()))
    printed = report_campaigns(CampaignOptions(concurrency=(100,)), found).splitlines()
    verdict = "met" if rate >= 7_000 else "MISSED"

    assert f"| 100 | {SEND_MANY} | 10,000 | 1.00 | 50 | 10,000-10,000 | 40% |" in printed
    assert f"| 100 | {HTTPX} | 100 | 0.01 | 5,000 | 100-100 | 40% |" in printed
    assert [
        "adding 100,000 recipients beforehand: 2.5 s, 10 us of CPU each",
        f"{CAMPAIGN} at c=100: {of_bulk} times {SEND_MANY} (target: at least 0.7: {verdict})",
        f"{CAMPAIGN} at c=100: {of_twilio} times {TWILIO} (target: at least 1: {verdict})",
    ] == printed[-3:]


@pytest.mark.parametrize(
    ("cpu", "memory", "verdicts"),
    [
        (0.549, 199_999_999, ["+9.8% (target: at most +10%: met)", "at most 200 MB (target: under 200: met)"]),
        (0.56, 200_000_000, ["+12.0% (target: at most +10%: MISSED)", "at most 200 MB (target: under 200: MISSED)"]),
    ],
    ids=["met", "missed"],
)
def test_the_largest_campaign_is_held_against_the_smallest(cpu: float, memory: int, verdicts: list[str]) -> None:
    """By the CPU of a text, and by the most memory of any run."""
    small = run(CAMPAIGN, 10_000, recipients=10_000)
    large = run(CAMPAIGN, 10_000, recipients=100_000)
    large = attrs.evolve(large, run=attrs.evolve(large.run, cpu_seconds=cpu, memory=memory))
    printed = report_scale(CampaignOptions(scale=(10_000, 100_000)), figures(small, small, large)).splitlines()

    assert "| 10,000 | 2 | 2.5 | 100 | 10,000 | 10,000-10,000 | 100 | 50.0 | 90 |" in printed
    assert verdicts == [line.partition(": ")[2] for line in printed[-2:]]


def test_the_command_measures_every_contender(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It starts a server and a client for each, prints a row for each, and leaves the runs as JSON."""
    written = tmp_path / "figures.json"
    arguments = ["--requests", "20", "--rounds", "1", "--concurrency", "3", "--transport", "httpx"]
    assert main(["campaigns", *arguments, "--json", str(written)]) == 0
    here = [name for name in CONTENDERS if missing(name) is None]
    rows = [line.split(" | ")[1] for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert ["contender", *here] == rows
    assert [(name, 20) for name in here] == [
        (one["contender"], one["run"]["requests"]) for one in json.loads(written.read_text())["runs"]
    ]


def test_the_command_compares_sizes_on_postgresql(postgresql: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Small campaigns run oftener than large ones, each in an empty ledger of its own."""
    arguments = ["--scale", "10,20", "--rounds", "1", "--concurrency", "3", "--postgresql", postgresql]
    assert main(["campaigns", *arguments]) == 0
    printed = capsys.readouterr().out
    assert "ledger on PostgreSQL" in printed
    rows = [line.split(" | ")[:2] for line in printed.splitlines() if line.startswith("| ")]
    assert [["| recipients", "rounds"], ["| 10", "2"], ["| 20", "1"]] == rows


def test_a_text_too_many_voids_the_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the server has got other texts than were claimed, there are no figures."""
    monkeypatch.setattr(campaigns, "counts_of", lambda _: {"right": 220, "wrong": 0, "twice": 1, "busy_seconds": 0.1})
    monkeypatch.setattr(campaigns, "CONTENDERS", (SEND_MANY,))
    with pytest.raises(WrongRequestsError, match="the server got 220, 0 wrong ones and 1 again"):
        measure_campaigns(CampaignOptions(concurrency=(3,), recipients=20, rounds=1))
