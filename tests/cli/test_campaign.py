"""``pidj campaign status``, ``list``, ``pause``, ``cancel`` and ``log``."""

from __future__ import annotations

import json
import re

import pytest

from pidj_async.sandbox import Sandbox
from tests.cli.conftest import ANN, BO, JO, Campaigns


def counts(**some: int) -> dict[str, int]:
    """The counts of a status: every state by name, and the lines that are no recipients."""
    states = "pending ready sending sent rejected in_doubt suppressed expired cancelled abandoned invalid duplicate"
    return dict.fromkeys(states.split(), 0) | some


def test_a_status_has_a_fixed_shape(campaigns: Campaigns, sandbox: Sandbox) -> None:
    """Each recipient counts once, and lines that are no recipients by themselves."""
    sandbox.receive_text("+12025550102", "STOP")  # of which only Pidj knows
    sandbox.fail_next("messages.send", status=503)
    campaigns.send(to=campaigns.people(JO, ANN, BO, JO, "nobody,"))
    expected = {"sent": 1, "rejected": 1, "in_doubt": 1, "invalid": 1, "duplicate": 1}
    status = json.loads(campaigns("status", "spring", "--json").stdout)
    assert {"id": "spring", "state": "done", "reason": None, "counts": counts(**expected), "next_due": None} == status


def test_a_status_tells_a_person_what_to_do(campaigns: Campaigns, sandbox: Sandbox) -> None:
    """What is in doubt, who is left, and the commands for either; the store's URL is in them if it was given."""
    sandbox.fail_next("messages.send", drop=True)
    sandbox.fail_next("messages.send", status=401, times=5)
    campaigns.send("--concurrency", "1", to=campaigns.people(JO, ANN, BO))
    told = campaigns("status", "spring").stdout
    assert re.search(r"^in doubt +1 *$", told, re.MULTILINE)
    where = f"spring --store {campaigns.store}\n"
    assert f"To look and decide:\n  pidj campaign resolve {where}" in told
    assert f"2 people are still to be texted. To go on:\n  pidj campaign resume {where}" in told


@pytest.mark.parametrize("command", ["status", "pause", "cancel", "resolve", "log"])
@pytest.mark.parametrize("json_flag", [(), ("--json",)])
def test_a_campaign_that_is_not_there(command: str, json_flag: tuple[str, ...], campaigns: Campaigns) -> None:
    """It ends with 5, and says where it looked; looking at a store that is not there ends with 2."""
    absent = campaigns(command, "autumn", *json_flag)
    assert (2, "") == (absent.exit_code, absent.stdout)
    campaigns.send(to=campaigns.people(JO))
    result = campaigns(command, "autumn", *json_flag)
    assert (5, "") == (result.exit_code, result.stdout)
    assert "there is no campaign 'autumn' in sqlite:///" in result.stderr


def test_a_list_of_campaigns(campaigns: Campaigns) -> None:
    """The oldest first, with how far they are; an empty store has none."""
    campaigns.run_command("store", "init", "--store", campaigns.store)
    assert "No campaigns.\n" == campaigns("list").stdout
    campaigns.send(to=campaigns.people(JO, ANN))
    campaigns.send(to=campaigns.people(BO), id="autumn")
    found = json.loads(campaigns("list", "--json").stdout)
    assert [("spring", "done", 2), ("autumn", "done", 1)] == [
        (one["id"], one["state"], one["recipients"]) for one in found
    ]
    assert {"sent": 2} == {state: count for state, count in found[0]["counts"].items() if count}
    told = campaigns("list").stdout
    assert "2 sent" in told


def stuck(campaigns: Campaigns, sandbox: Sandbox) -> None:
    """A campaign that has paused itself with two people left."""
    sandbox.fail_next("messages.send", status=403)
    campaigns.send("--concurrency", "1", to=campaigns.people(JO, ANN))
    assert "paused" == json.loads(campaigns("status", "spring", "--json").stdout)["state"]


def test_a_campaign_is_cancelled_for_good(campaigns: Campaigns, sandbox: Sandbox) -> None:
    """Whoever was not texted is cancelled, and it cannot be resumed."""
    stuck(campaigns, sandbox)
    status = json.loads(campaigns("cancel", "spring", "--reason", "wrong text", "--json").stdout)
    assert ("cancelled", "wrong text", counts(cancelled=2)) == (status["state"], status["reason"], status["counts"])
    result = campaigns("resume", "spring", "--yes")
    assert 2 == result.exit_code
    assert "cancelled" in result.stderr
    assert [] == sandbox.texts


def test_a_reason_with_a_number_in_it_is_masked(campaigns: Campaigns, sandbox: Sandbox) -> None:
    """In the status, in the log, and with --json too."""
    sandbox.fail_next("messages.send", status=403)
    campaigns.send("--concurrency", "1", to=campaigns.people(JO, ANN))
    for command in (("cancel", "spring", "--reason", "+12025550199 has complained"), ("status", "spring")):
        for json_flag in ((), ("--json",)):
            told = campaigns(*command, *json_flag)
            assert 0 == told.exit_code
            assert "2025550199" not in told.stdout + told.stderr
    assert "2025550199" not in campaigns("log", "spring", "--json").stdout


def test_a_pause_is_a_persons_or_the_campaigns_own(campaigns: Campaigns, sandbox: Sandbox) -> None:
    """`pause` says so in the status; who paused, and when, is in the log; resuming ends it."""
    stuck(campaigns, sandbox)
    log = json.loads(campaigns("log", "spring", "--json").stdout)
    assert ["created", "running", "paused"] == [entry["what"] for entry in log]
    assert "403" in log[-1]["detail"]
    assert 0 == campaigns("resume", "spring", "--yes").exit_code
    assert ["+12025550101", "+12025550102"] == [text.to_number for text in sandbox.texts]
    assert "done" in campaigns("log", "spring").stdout


def test_a_done_campaign_cannot_be_paused(campaigns: Campaigns) -> None:
    """There is nothing to pause, which is an error and no traceback."""
    campaigns.send(to=campaigns.people(JO))
    result = campaigns("pause", "spring")
    assert (2, "") == (result.exit_code, result.stdout)
    assert "Traceback" not in result.stderr
