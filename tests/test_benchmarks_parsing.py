"""The benchmark of parsing measures what it says, without a word about time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import main
from benchmarks.parsing import (
    BODIES,
    FLOOR,
    MSGSPEC,
    OURS,
    PARSERS,
    PYDANTIC,
    READ_RAW,
    SURPRISED,
    WITHOUT_MSGSPEC,
    body_for,
    measure_parsing,
    report_parsing,
)
from pidj_async.webhooks import EVENT_TYPES, parse_event, sample
from pidj_async.webhooks._documented import ANOTHER_SHAPE, decode_documented


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_every_parser_reads_the_whole_body(name: str) -> None:
    """Each parser finds the event's own values, down to the last field of what is nested deepest."""
    body = BODIES[name]
    decode_documented(body)
    assert sample(name) == PARSERS[FLOOR](body) == PARSERS[READ_RAW](body)
    assert parse_event(body) == PARSERS[OURS](body) == PARSERS[SURPRISED](body) == PARSERS[WITHOUT_MSGSPEC](body)
    event: Any = parse_event(body)
    for rival in (PYDANTIC, MSGSPEC):
        read: Any = PARSERS[rival](body)
        theirs, ours = (read.text, event.text) if name == "text-received" else (read, event)
        assert theirs.contact.external_id == ours.contact.external_id is not None
        assert theirs.contact.tags == ours.contact.tags != ()
        if hasattr(ours, "group") and ours.group is not None:
            assert theirs.group.phone == ours.group.phone_number is not None
        if hasattr(ours, "interaction") and ours.interaction is not None:
            assert theirs.interaction.uuid == ours.interaction.id is not None


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_a_surprising_body_is_not_read_the_quick_way(name: str) -> None:
    """The parser that is said to be surprised is given a body that the quick way does not take."""
    with pytest.raises(ANOTHER_SHAPE):
        decode_documented(body_for(SURPRISED, name))


def figures(ours: float, pydantic: float) -> dict[str, dict[str, list[float]]]:
    rest = {parser: [2.0, 2.0, 9.0] for parser in PARSERS}
    return {name: {**rest, OURS: [ours] * 3, PYDANTIC: [pydantic] * 3} for name in EVENT_TYPES}


def test_each_event_has_to_meet_both_targets() -> None:
    """The verdicts are by the worst event, and name those that miss."""
    found = figures(3.0, 6.0)
    assert report_parsing(found).endswith(
        "parse_event: at most 1.50 times orjson.loads (target: at most 1.5: met)\n"
        "parse_event: at least 2.00 times as fast as pydantic (target: at least 2: met)"
    )
    found["opt-in"] = figures(3.2, 6.0)["opt-in"]
    printed = report_parsing(found).splitlines()
    assert "| opt-in | 1021 | 2.00 | 3.20 | 6.00 | 2.00 | 2.00 | 2.00 | 2.00 | 1.60 | 1.88 |" in printed
    assert printed[-2:] == [
        "parse_event: at most 1.60 times orjson.loads (target: at most 1.5: MISSED by opt-in)",
        "parse_event: at least 1.88 times as fast as pydantic (target: at least 2: MISSED by opt-in)",
    ]


def test_the_command_prints_a_row_for_each_event(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command measures every parser on every event, and leaves the figures as JSON."""
    written = tmp_path / "figures.json"
    assert main(["parsing", "--rounds", "2", "--json", str(written)]) == 0
    rows = [line.split(" | ")[0] for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert ["| event", *(f"| {name}" for name in EVENT_TYPES)] == rows
    assert {name: dict.fromkeys(PARSERS, 2) for name in EVENT_TYPES} == {
        event: {name: len(found) for name, found in parsers.items()}
        for event, parsers in json.loads(written.read_text()).items()
    }


def test_the_first_rounds_are_not_kept() -> None:
    """A tenth of the rounds comes on top, to warm up."""
    found = measure_parsing(10, repeats=1)
    assert {10} == {len(measured) for parsers in found.values() for measured in parsers.values()}
