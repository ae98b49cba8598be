"""``pidj demo``."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import attrs
import pytest
from rich.console import Console

from pidj_async.cli import demo
from pidj_async.cli.demo import Check, Tally, _Stage, checks_of
from pidj_async.cli.recipients import check_recipients
from tests.cli.conftest import TOKEN, Run
from tests.cli.test_program import start


def test_it_adds_up_and_says_so() -> None:
    """Without options, into a pipe and with somebody's credentials around: it ends with 0, and every sum is right."""
    process = start("demo", PIDJ_ACCOUNT_KEY="key", PIDJ_TOKEN=TOKEN, PIDJ_BASE_URL="https://example.org/")
    stdout, stderr = process.communicate(timeout=110)
    assert (0, "") == (process.returncode, stderr)
    rows = re.findall(r"^✓ +(\D+?) +([\d,]+) +(.+)$", stdout, re.MULTILINE)
    assert 10 == len(rows)
    for name, total, parts in rows:
        numbers = [int(number.replace(",", "")) for number in re.findall(r"(?:^|\+ )([\d,]+)", parts)]
        assert (name, int(total.replace(",", ""))) == (name, sum(numbers))
    assert re.search(r"^It adds up, after [\d.]+ s\.$", stdout, re.MULTILINE)
    assert "✗" not in stdout
    assert "line 52: to number must be in E.164 format" in stdout
    assert "\x1b" not in stdout
    assert TOKEN not in stdout


def test_its_counts_are_the_same_every_time() -> None:
    """Timing decides whom a fault hits, and not how many."""
    process = start("demo", "--json")
    stdout, stderr = process.communicate(timeout=110)
    assert (0, "") == (process.returncode, stderr)
    document = json.loads(stdout)
    assert document["adds_up"] is True
    counts = {
        check["name"]: [check["count"], *(part["count"] for part in check["parts"])] for check in document["checks"]
    }
    expected = {
        "lines in the list": [2000, 1920, 37, 43],
        "recipients": [1920, 1848, 60, 12],
        "not sent": [60, 60, 0],
        "texts at the sandbox": [1854, 1848, 6],
        "texted twice": [0, 0],
        "texted despite STOP": [0, 0],
        "answers handled": [293, 293],
        "opt-outs handled": [46, 46],
        "events handled": [385, 385],
        "webhooks fired": [385, 385, 0],
    }
    assert expected == counts


def good() -> Tally:
    lines = [
        "phone_number,first_name,opted_out",
        "+12025550100,Jo,",
        "+12025550101,Ann,yes",
        "1,Bo,",
        "+12025550100,Jo,",
    ]
    preflight = check_recipients(lines, template="Hi", group_id="gr:1")
    return Tally(
        preflight,
        accepted=1,
        refused=1,
        arrived=1,
        answers_said=1,
        answers_heard=1,
        events_heard=1,
        webhooks_delivered=1,
        webhooks_fired=1,
        seconds=1.0,
    )


@pytest.mark.parametrize(
    ("change", "failing"),
    [
        ({}, []),
        ({"accepted": 2}, ["recipients", "texts at the sandbox"]),
        ({"unknown": 1}, ["recipients"]),
        ({"refused": 0, "other_not_sent": 1}, ["not sent"]),
        ({"arrived": 2}, ["texts at the sandbox"]),
        ({"texted_twice": 1}, ["texted twice"]),
        ({"texted_in_spite": 1}, ["texted despite STOP"]),
        ({"answers_heard": 0}, ["answers handled"]),
        ({"stops_said": 1}, ["opt-outs handled"]),
        ({"events_heard": 2}, ["events handled"]),
        ({"webhooks_fired": 2}, ["webhooks fired"]),
    ],
)
def test_each_sum_can_fail(change: dict[str, Any], failing: list[str]) -> None:
    """A number that is wrong makes its own check fail."""
    checks = checks_of(attrs.evolve(good(), **change))
    assert failing == [check.name for check in checks if not check.adds_up]


@pytest.mark.parametrize("json_flag", [(), ("--json",)])
def test_it_fails_if_it_does_not_add_up(json_flag: tuple[str, ...], run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sum that is wrong is marked, and the exit code is 1."""

    async def perform(_: object) -> Tally:
        return attrs.evolve(good(), texted_twice=1)

    monkeypatch.setattr(demo, "_perform", perform)
    result = run("demo", *json_flag)
    assert 1 == result.exit_code
    if json_flag:
        assert json.loads(result.stdout)["adds_up"] is False
    else:
        assert re.search(r"✗ +texted twice +1 ", result.stdout)
        assert "It does not add up" in result.stdout


def test_on_a_terminal_there_is_a_bar() -> None:
    """It shows how many outcomes there are, and what they are; into a pipe it shows nothing."""
    tally = attrs.evolve(good(), unknown=3)
    shown = {}
    for is_terminal in (True, False):
        screen = Console(file=io.StringIO(), width=80, force_terminal=is_terminal, color_system=None)
        stage = _Stage(screen)
        with stage.progress(5):
            stage.update(tally)
        assert isinstance(screen.file, io.StringIO)
        shown[is_terminal] = screen.file.getvalue()
    assert "5/5" in shown[True]
    assert "1 not sent 3 unknown" in shown[True]
    assert "" == shown[False]


def test_it_takes_no_account(run: Run) -> None:
    """Credentials on its command line would be ignored, so they are refused."""
    result = run("--token", "x", "demo")
    assert 2 == result.exit_code
    assert "uses no account; leave out --token" in result.stderr


def test_a_check_adds_up() -> None:
    """A check is a number and the numbers it is the sum of."""
    assert Check("name", 3, ((1, "a"), (2, "b"))).adds_up
    assert not Check("name", 4, ((1, "a"), (2, "b"))).adds_up
