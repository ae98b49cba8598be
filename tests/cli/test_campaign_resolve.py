"""``pidj campaign resolve``."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from pidj_async.sandbox import Sandbox
from tests.cli.conftest import ANN, BO, JO, Campaigns


@pytest.fixture
def doubtful(campaigns: Campaigns, sandbox: Sandbox) -> Campaigns:
    """A campaign with two texts in doubt, of which one arrived, and one that was sent."""
    sandbox.fail_next("messages.send", drop=True)
    sandbox.fail_next("messages.send", status=503, after_acting=True)
    assert 11 == campaigns.send("--concurrency", "1", to=campaigns.people(JO, ANN, BO)).exit_code
    return campaigns


def counts(campaigns: Campaigns) -> dict[str, int]:
    found = json.loads(campaigns("status", "spring", "--json").stdout)["counts"]
    return {state: count for state, count in found.items() if count}


def test_without_a_decision_they_are_listed(doubtful: Campaigns) -> None:
    """With why, and with what can be decided; numbers are masked unless it was asked not to."""
    told = doubtful("resolve", "spring")
    assert (0, "") == (told.exit_code, told.stderr)
    assert "+120******01" in told.stdout
    for decision in ("sent", "abandoned", "resend"):
        assert f"pidj campaign resolve spring --as {decision} --all --store {doubtful.store}" in told.stdout
    assert "+12025550101" in doubtful("resolve", "spring", "--unmask").stdout
    listed = json.loads(doubtful("resolve", "spring", "--json").stdout)
    assert [("+120******01", "in_doubt", 2, 1), ("+120******02", "in_doubt", 3, 1)] == [
        (one["phone_number"], one["state"], one["line"], one["attempts"]) for one in listed
    ]
    assert "http-503" == listed[1]["cause"]
    assert {"sent": 1, "in_doubt": 2} == counts(doubtful)


def test_nothing_in_doubt_is_said(campaigns: Campaigns) -> None:
    """And with --json it is an empty list."""
    campaigns.send(to=campaigns.people(JO))
    assert "Nothing is in doubt.\n" == campaigns("resolve", "spring").stdout
    assert [] == json.loads(campaigns("resolve", "spring", "--json").stdout)
    assert "0 decided: sent." in campaigns("resolve", "spring", "--as", "sent", "--all").stdout


@pytest.mark.parametrize("decision", ["sent", "abandoned"])
def test_all_are_decided(decision: str, doubtful: Campaigns, sandbox: Sandbox) -> None:
    """They are shown first; nobody is texted; who decided, and why, is in the log."""
    result = doubtful("resolve", "spring", "--as", decision, "--all", "--note", "asked them")
    assert 0 == result.exit_code
    assert result.stdout.index("+120******01") < result.stdout.index(f"2 decided: {decision}.")
    expected = Counter({"sent": 1}) + Counter({decision: 2})
    assert expected == Counter(counts(doubtful))
    log = json.loads(doubtful("log", "spring", "--json").stdout)
    decided = [entry for entry in log if entry["what"] == "resolved"]
    assert 2 == len(decided)
    assert all("asked them" in entry["detail"] and "@" in entry["who"] for entry in decided)
    assert 2 == len(sandbox.texts)


def test_one_is_decided_by_number(doubtful: Campaigns) -> None:
    """However the number is written."""
    result = doubtful("resolve", "spring", "(202) 555-0101", "--as", "abandoned", "--json")
    assert {"id": "spring", "as": "abandoned", "resolved": 1} == json.loads(result.stdout)
    assert {"sent": 1, "in_doubt": 1, "abandoned": 1} == counts(doubtful)


def test_a_number_that_is_not_in_doubt_stops_all(doubtful: Campaigns) -> None:
    """It ends with 5, masked, and nothing was decided."""
    result = doubtful("resolve", "spring", "+12025550101", "+12025550103", "--as", "sent")
    assert 5 == result.exit_code
    assert "not in doubt in this campaign: +120******03. Nothing was decided" in result.stderr
    assert {"sent": 1, "in_doubt": 2} == counts(doubtful)


def test_some_are_listed_by_number(doubtful: Campaigns) -> None:
    """Without a decision, numbers say whom to look at."""
    listed = json.loads(doubtful("resolve", "spring", "+12025550102", "--json").stdout)
    assert [3] == [one["line"] for one in listed]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--as", "sent"), "say which: their phone numbers, or --all"),
        (("--as", "sent", "--all", "+12025550101"), "--all and phone numbers contradict each other"),
        (("--note", "x"), "say what to decide"),
        (("--yes",), "say what to decide"),
        (("--as", "lost", "--all"), "'lost' is not one of"),
        (("--as", "resend", "--all"), "pass --yes"),
        (("--as", "sent", "12"), "too short"),
    ],
)
def test_what_cannot_be_decided_is_refused(arguments: tuple[str, ...], said: str, doubtful: Campaigns) -> None:
    """With 2, and nothing was decided."""
    result = doubtful("resolve", "spring", *arguments)
    assert (2, "") == (result.exit_code, result.stdout)
    assert said in result.stderr
    assert {"sent": 1, "in_doubt": 2} == counts(doubtful)


def test_they_are_sent_again_if_somebody_says_so(doubtful: Campaigns, sandbox: Sandbox) -> None:
    """Once more each: one of them has it twice then, which was the risk."""
    result = doubtful("resolve", "spring", "--as", "resend", "--all", "--yes")
    assert 0 == result.exit_code
    assert "2 decided: to be sent again." in result.stdout
    assert f"pidj campaign resume spring --store {doubtful.store}" in result.stdout
    assert {"sent": 1, "ready": 2} == counts(doubtful)
    assert 0 == doubtful("resume", "spring", "--yes").exit_code
    assert {"sent": 3} == counts(doubtful)
    texts = Counter(text.to_number for text in sandbox.texts)
    assert {"+12025550101": 1, "+12025550102": 2, "+12025550103": 1} == texts


@pytest.mark.usefixtures("at_a_terminal")
@pytest.mark.parametrize(
    ("answer", "expected"),
    [("2\n", {"sent": 1, "ready": 2}), ("y\n", {"sent": 1, "in_doubt": 2}), ("\n", {"sent": 1, "in_doubt": 2})],
)
def test_sending_again_asks_for_more_than_a_yes(answer: str, expected: dict[str, Any], doubtful: Campaigns) -> None:
    """Whoever means it types how many they are."""
    result = doubtful("resolve", "spring", "--as", "resend", "--all", input=answer)
    assert (0 if "ready" in expected else 130) == result.exit_code
    assert "the same text a second time" in result.stdout
    assert expected == counts(doubtful)


def test_many_are_shown_in_part_and_decided_all(campaigns: Campaigns, sandbox: Sandbox) -> None:
    """Fifty are enough to see what they are."""
    lines = [f"+1{area}55501{line:02},x" for area in (202, 212) for line in range(40)]
    sandbox.fail_next("messages.send", status=500, times=80)
    campaigns.send("--max-in-doubt", "1000", to=campaigns.people(*lines))
    assert {"in_doubt": 80} == counts(campaigns)
    result = campaigns("resolve", "spring", "--as", "abandoned", "--all")
    assert "and 30 more\n80 decided: abandoned." in result.stdout
    assert {"abandoned": 80} == counts(campaigns)
