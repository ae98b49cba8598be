"""The benchmark of a large account measures what it says, without a word about time."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.contacts import (
    AT_ONCE,
    BY_HAND,
    LIST,
    PIECEWISE,
    READERS,
    STREAM,
    ContactsFigures,
    ContactsOptions,
    Reading,
    ReadingJob,
    perform_reading,
    pieces_of,
    report_contacts,
    serve,
)


@pytest.mark.parametrize("contacts", [0, 1, 499, 500, 501, 1_234])
def test_the_reply_has_as_many_contacts_as_it_should(contacts: int) -> None:
    """Whatever is left over from whole blocks."""
    reply = json.loads(b"".join(pieces_of(contacts)))
    assert (contacts, 200, "success") == (len(reply["contacts"]), reply["code"], reply["status"])


@pytest.mark.parametrize("reader", READERS)
def test_a_reader_reads_them_all(reader: str) -> None:
    """Each of them counts every contact that the server sends."""

    async def read() -> Reading:
        async with serve(1_234) as port:
            job = ReadingJob(reader=reader, base_url=f"http://127.0.0.1:{port}/api/2020", contacts=1_234)
            return await perform_reading(job)

    reading = asyncio.run(read())
    assert 1_234 == reading.contacts
    assert reading.peak >= reading.before > 0


def figures(*, stream: float, peak: int) -> ContactsFigures:
    seconds = {STREAM: stream, LIST: 4.0, BY_HAND: 5.0, PIECEWISE: 3.0, AT_ONCE: 3.0}
    return ContactsFigures(
        readings={
            name: (Reading(contacts=1_000_000, seconds=took, cpu_seconds=2.0, peak=peak, before=30_000_000),)
            for name, took in seconds.items()
        }
    )


def test_the_stream_is_judged_by_speed_and_memory() -> None:
    """A row for each reader, and a line for each target."""
    printed = report_contacts(ContactsOptions(), figures(stream=8.0, peak=149_000_000)).splitlines()
    assert "| contacts.stream() | 8.00 | 2.00 | 125,000 | 149 | 30 |" in printed
    assert "| decoding alone, at once | 3.00 | 2.00 | 333,333 | - | - |" in printed
    assert "contacts.stream(): 0.50 times as fast as contacts.list() (target: at least 0.5: met)" in printed
    assert "contacts.stream(): 149 MB at most (target: under 150: met)" in printed
    printed = report_contacts(ContactsOptions(), figures(stream=8.1, peak=151_000_000)).splitlines()
    assert "contacts.stream(): 0.49 times as fast as contacts.list() (target: at least 0.5: MISSED)" in printed
    assert "contacts.stream(): 151 MB at most (target: under 150: MISSED)" in printed


def test_the_command_reads_in_processes_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It starts a server and a process per reading, and leaves the readings as JSON."""
    written = tmp_path / "figures.json"
    assert main(["contacts", "--requests", "600", "--rounds", "1", "--json", str(written)]) == 0
    assert "600 contacts; medians of 1 rounds" in capsys.readouterr().out
    readings = json.loads(written.read_text())["readings"]
    assert {name: [600] for name in READERS} == {
        name: [one["contacts"] for one in found] for name, found in readings.items()
    }
