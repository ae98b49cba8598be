"""``pidj demo``."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import attrs
import pytest

from pidj_async.campaigns.states import RecipientState
from pidj_async.cli import demo
from pidj_async.cli.demo_books import Books, Check, checks_of
from tests.cli.conftest import TOKEN, Run
from tests.cli.test_program import start


def test_it_adds_up_and_says_so(tmp_path: Path) -> None:
    """Without options, into a pipe and with somebody's credentials around: it ends with 0, and every sum is right."""
    page = tmp_path / "report.html"
    surroundings = {"PIDJ_ACCOUNT_KEY": "key", "PIDJ_TOKEN": TOKEN, "PIDJ_BASE_URL": "https://example.org/"}
    process = start("demo", "--html", str(page), **surroundings, PIDJ_STORE="sqlite:///nowhere/at-all.db")
    stdout, stderr = process.communicate(timeout=110)
    assert (0, "") == (process.returncode, stderr)
    rows = re.findall(r"^✓ +(\D+?) +([\d,]+) +(.+)$", stdout, re.MULTILINE)
    assert 15 == len(rows)
    for name, total, parts in rows:
        numbers = [int(number.replace(",", "")) for number in re.findall(r"(?:^|\+ )([\d,]+)", parts)]
        assert (name, int(total.replace(",", ""))) == (name, sum(numbers))
    assert re.search(r"^It adds up, after [\d.]+ s\.$", stdout, re.MULTILINE)
    assert "✗" not in stdout
    assert "line 52: phone_number: must hold one number and nothing else" in stdout
    assert "\x1b" not in stdout
    assert TOKEN not in stdout
    assert f"file://{page}" in stdout
    assert "need a decision" in page.read_text(encoding="utf-8")


def test_its_counts_are_the_same_every_time(tmp_path: Path) -> None:
    """Timing decides whom a fault hits, and not how many; only what was under way at the kill is up to chance."""
    process = start("demo", "--json", "--html", str(tmp_path / "report.html"))
    stdout, stderr = process.communicate(timeout=110)
    assert (0, "") == (process.returncode, stderr)
    document = json.loads(stdout)
    assert document["adds_up"] is True
    counts = {
        check["name"]: [check["count"], *(part["count"] for part in check["parts"])] for check in document["checks"]
    }
    crashed = counts["in doubt"][1]
    assert 1 <= crashed <= 100
    arrived = counts["texts at the sandbox"][2]
    assert 6 <= arrived <= crashed + 6
    expected = {
        "lines in the list": [2000, 1933, 18, 49],
        "recipients": [1933, 1838 - crashed, 27, 56, 12 + crashed],
        "processes killed": [1, 1],
        "in doubt": [12 + crashed, crashed, 12],
        "suppressed": [56, 33, 23],
        "rejected": [27, 27],
        "texts at the sandbox": [1838 - crashed + arrived, 1838 - crashed, arrived],
        "texted twice": [0, 0],
        "texted despite STOP": [0, 0],
        "answers handled": [127, 127],
        "opt-outs handled": [76, 56, 20],
        "on the suppression list": [76, 76],
        "events handled": [279, 279],
        "events in the inbox": [279, 279],
        "webhooks fired": [279, 279, 0],
    }
    assert expected == counts


def good() -> Books:
    """Books of eight people that are right, no number of which is that of another thing by chance."""
    counts = dict.fromkeys(RecipientState, 0) | {
        RecipientState.SENT: 2,
        RecipientState.REJECTED: 1,
        RecipientState.SUPPRESSED: 2,
        RecipientState.IN_DOUBT: 3,
    }
    return Books(
        lines=13,
        invalid=1,
        duplicate=4,
        counts=counts,
        killed=1,
        crashed=2,
        lost=1,
        said_before={"a"},
        said_elsewhere={"b"},
        said_meanwhile={"c"},
        said_after={"d"},
        on_the_list=3,
        arrived=4,
        doubtful_arrived=2,
        answers_said=5,
        answers_heard=5,
        stops_heard=3,
        events_heard=11,
        events_handled=11,
        webhooks_fired=11,
        webhooks_delivered=11,
    )


@pytest.mark.parametrize(
    ("change", "failing"),
    [
        ({}, []),
        ({"counts": {**good().counts, RecipientState.SENT: 3}}, ["recipients", "texts at the sandbox"]),
        ({"invalid": 2}, ["recipients"]),
        ({"killed": 0}, ["processes killed"]),
        ({"crashed": 3}, ["in doubt"]),
        ({"lost": 0}, ["in doubt"]),
        ({"said_elsewhere": set()}, ["rejected"]),
        ({"said_meanwhile": {"c", "e"}}, ["suppressed", "opt-outs handled"]),
        ({"said_after": set()}, ["opt-outs handled"]),
        ({"on_the_list": 2}, ["on the suppression list"]),
        ({"arrived": 5}, ["texts at the sandbox"]),
        ({"texted_twice": 1}, ["texted twice"]),
        ({"texted_in_spite": 1}, ["texted despite STOP"]),
        ({"answers_heard": 0}, ["answers handled"]),
        ({"stops_heard": 4}, ["opt-outs handled", "on the suppression list"]),
        ({"events_heard": 2}, ["events handled"]),
        ({"events_handled": 2}, ["events in the inbox"]),
        ({"webhooks_fired": 2}, ["webhooks fired"]),
    ],
)
def test_each_sum_can_fail(change: dict[str, Any], failing: list[str]) -> None:
    """A number that is wrong makes its own check fail."""
    checks = checks_of(attrs.evolve(good(), **change))
    assert failing == [check.name for check in checks if not check.adds_up]


@pytest.mark.parametrize("json_flag", [(), ("--json",)])
def test_it_fails_if_it_does_not_add_up(
    json_flag: tuple[str, ...], run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A sum that is wrong is marked, and the exit code is 1."""

    async def perform(_: object) -> tuple[Books, str]:
        return attrs.evolve(good(), texted_twice=1), "<p>the page"

    monkeypatch.setattr(demo, "_perform", perform)
    page = tmp_path / "page.html"
    result = run("demo", "--html", str(page), *json_flag)
    assert 1 == result.exit_code
    assert "<p>the page" == page.read_text()
    if json_flag:
        assert json.loads(result.stdout)["adds_up"] is False
    else:
        assert re.search(r"✗ +texted twice +1 ", result.stdout)
        assert "It does not add up" in result.stdout


def test_the_page_must_be_possible(run: Run, tmp_path: Path) -> None:
    """Nobody watches for a minute only to learn then that the page cannot be written."""
    result = run("demo", "--html", str(tmp_path / "no" / "such.html"))
    assert (2, "") == (result.exit_code, result.stdout)
    assert "No such file" in result.stderr


def test_it_takes_no_account(run: Run) -> None:
    """Credentials on its command line would be ignored, so they are refused."""
    result = run("--token", "x", "demo")
    assert 2 == result.exit_code
    assert "uses no account; leave out --token" in result.stderr


def test_a_check_adds_up() -> None:
    """A check is a number and the numbers it is the sum of."""
    assert Check("name", 3, ((1, "a"), (2, "b"))).adds_up
    assert not Check("name", 4, ((1, "a"), (2, "b"))).adds_up
