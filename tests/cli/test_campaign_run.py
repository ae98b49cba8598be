"""``pidj campaign run`` and ``resume``."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs
import pytest

from pidj_async.cli.campaign_run import _default_id, _under_way
from pidj_async.sandbox import Sandbox
from tests.cli.conftest import ANN, BO, JO, TOKEN, Campaigns, Run
from tests.cli.test_program import PIDJ, posix

GROUP = ("--group-id", Sandbox.group_id)
BASE = ("--text", "Hi {first_name}", *GROUP, "--hours", "any")


def texted(sandbox: Sandbox) -> list[str]:
    return [text.to_number for text in sandbox.texts]


def status_of(campaigns: Campaigns, id: str = "spring") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(campaigns("status", id, "--json").stdout)
    return found


# --- what happens -------------------------------------------------------------------------------------------------


def test_a_list_is_texted(campaigns: Campaigns, sandbox: Sandbox) -> None:
    """Each person once, with their own text; what was found is told before, the status after."""
    result = campaigns.send(to=campaigns.people(JO, ANN, JO, "12,nobody"))
    assert (0, "") == (result.exit_code, result.stderr)
    assert {("+12025550101", "Hi Jo"), ("+12025550102", "Hi Ann")} == {
        (text.to_number, text.text_body) for text in sandbox.texts
    }
    assert "line 5: phone_number: is too short; got '**'" in result.stdout
    assert result.stdout.index("duplicate") < result.stdout.index("Campaign spring") < result.stdout.index("done")
    assert "2025550101" not in result.stdout


def test_both_kinds_of_store_hold_a_campaign(run: Run, store_url: str, campaigns: Campaigns, sandbox: Sandbox) -> None:
    """From the list to the report."""
    there = attrs.evolve(campaigns, store=store_url)
    sandbox.fail_next("messages.send", status=503)
    assert 11 == there.send("--concurrency", "1", to=there.people(JO, ANN)).exit_code
    assert "1 decided: abandoned." in there("resolve", "spring", "--as", "abandoned", "--all").stdout
    assert 0 == there("resume", "spring", "--yes").exit_code
    assert (1, 1) == tuple(status_of(there)["counts"][state] for state in ("sent", "abandoned"))
    assert 3 == len(there("export", "spring", "-").stdout.splitlines())
    assert "</html>" in there("report", "spring", "--html", "-").stdout
    assert 0 == run("store", "check", "--store", store_url).exit_code


def test_json_is_one_document_with_the_status(campaigns: Campaigns) -> None:
    """And nothing else is on standard output, or on standard error."""
    result = campaigns.send("--json", to=campaigns.people(JO, ANN))
    assert (0, "") == (result.exit_code, result.stderr)
    document = json.loads(result.stdout)
    assert ("spring", "done", 2) == (document["id"], document["state"], document["counts"]["sent"])


def test_the_same_command_again_texts_nobody_twice(campaigns: Campaigns, sandbox: Sandbox) -> None:
    """Whoever is new in the list is texted; who was texted stays as they are."""
    campaigns.send(to=campaigns.people(JO, ANN))
    result = campaigns.send(to=campaigns.people(JO, ANN, BO))
    assert "2 of them are in the campaign already" in result.stdout
    assert Counter(["+12025550101", "+12025550102", "+12025550103"]) == Counter(texted(sandbox))


def test_other_settings_need_another_name(campaigns: Campaigns, sandbox: Sandbox) -> None:
    """A campaign's text does not change half-way: it ends with 2, says what differs, and sends nothing."""
    campaigns.send(to=campaigns.people(JO))
    result = campaigns.send(to=campaigns.people(JO, ANN), text="Bye {first_name}")
    assert 2 == result.exit_code
    assert "text" in result.stderr
    assert ["+12025550101"] == texted(sandbox)


def test_the_name_is_the_lists_and_todays_date(campaigns: Campaigns) -> None:
    """If none is given; it is told, and so is the command that resumes it."""
    result = campaigns("run", campaigns.people(JO), *BASE, "--yes")
    name = f"people-{datetime.now().astimezone():%Y-%m-%d}"
    assert f"Campaign {name}." in result.stdout
    assert f"pidj campaign resume {name} --store {campaigns.store}" in result.stdout
    assert "done" == status_of(campaigns, name)["state"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("-", "stdin"),
        ("contacts:", "contacts"),
        ("contacts:tag=VIP", "contacts-VIP"),
        ("lists/März & April.csv", "März-April"),
        ("..csv", "campaign"),
    ],
)
def test_a_default_name_is_a_word(source: str, expected: str) -> None:
    """Whatever the source is called."""
    assert f"{expected}-{datetime.now().astimezone():%Y-%m-%d}" == _default_id(source)


def test_whoever_is_suppressed_is_not_texted(campaigns: Campaigns, sandbox: Sandbox) -> None:
    """The suppression list of the same store counts, and is told of before."""
    campaigns.run_command("suppressions", "add", "+12025550102", "--store", campaigns.store)
    result = campaigns.send(to=campaigns.people(JO, ANN))
    assert "1, who want no texts" in result.stdout
    assert ["+12025550101"] == texted(sandbox)
    assert 1 == status_of(campaigns)["counts"]["suppressed"]


# --- where people come from ---------------------------------------------------------------------------------------


def test_a_list_can_come_from_standard_input(campaigns: Campaigns, sandbox: Sandbox) -> None:
    """As CSV or JSON Lines; nobody can be asked then, so --yes is needed."""
    lines = '{"phone_number": "+12025550101", "first_name": "Jo"}\n'
    arguments = ("run", "-", "--id", "spring", *BASE)
    assert 2 == campaigns(*arguments, input=lines).exit_code
    assert 0 == campaigns(*arguments, "--yes", input=lines).exit_code
    assert ["+12025550101"] == texted(sandbox)


@posix
@pytest.mark.usefixtures("at_a_terminal")
def test_what_can_be_read_once_is_not_asked_about(campaigns: Campaigns, sandbox: Sandbox) -> None:
    """A pipe, such as the shell's ``<(…)``: its end would have come before the answer."""
    pipe = campaigns.folder / "pipe"
    os.mkfifo(pipe)
    for source in (str(pipe), "-"):
        result = campaigns("run", source, "--id", "spring", *BASE)
        assert (2, "") == (result.exit_code, result.stdout)
        assert "can be read only once" in result.stderr
    writer = threading.Thread(target=pipe.write_text, args=(f"phone_number,first_name\n{JO}\n",))
    writer.start()
    assert 0 == campaigns("run", str(pipe), "--id", "spring", *BASE, "--yes").exit_code
    writer.join()
    assert ["+12025550101"] == texted(sandbox)


def test_pidjs_own_contacts_can_be_texted(campaigns: Campaigns, run: Run, sandbox: Sandbox) -> None:
    """All of them; by a tag nobody here, since the API cannot set one."""
    run("contacts", "create", "--phone-number", "+12025550123", "--first-name", "Jo")
    result = campaigns("run", "contacts:", "--id", "spring", *BASE, "--yes")
    assert 0 == result.exit_code, result.output
    assert [("+12025550123", "Hi Jo")] == [(text.to_number, text.text_body) for text in sandbox.texts]
    nobody = campaigns("run", "contacts:tag=VIP", "--id", "vip", *BASE, "--dry-run", "--json")
    assert 0 == json.loads(nobody.stdout)["recipients"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("nowhere.csv", "there is no file 'nowhere.csv'"),
        ("contacts:VIP", "contacts:tag=VIP"),
        ("contacts:tag=", "contacts:tag=VIP"),
    ],
)
def test_a_source_that_is_none(source: str, said: str, campaigns: Campaigns) -> None:
    """It ends with 2, and says what can be one."""
    result = campaigns("run", source, *BASE, "--yes")
    assert (2, "") == (result.exit_code, result.stdout)
    assert said in result.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--text", "Hi", "--group-id", "gr:1", "--from-number", "+12025550100"), "--group-id: give exactly one of"),
        (("--text", "Hi"), "--group-id: give exactly one of --group-id and --from-number"),
        (("--text", "Hi {first_name", *GROUP), "text"),
        (("--text", "Hi {nickname}", *GROUP), "nickname"),
        (("--text", "Hi", *GROUP, "--hours", "noon"), "--hours"),
        (("--text", "Hi", *GROUP, "--region", "XX"), "--region"),
        (("--text", "Hi", *GROUP, "--ends-at", "tomorrow"), "'tomorrow' is no time"),
        (("--text", "Hi", *GROUP, "--ends-at", "2h"), "'2h' is no time"),
        (("--text", "Hi", *GROUP, "--rate", "0"), "--rate"),
        (("--text", "Hi", *GROUP, "--price-per-segment", "cheap"), "'cheap' is no price"),
        (("--text", "Hi", "--from-number", "+12025550100", "--check-consent"), "--check-consent"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(
    options: tuple[str, ...], said: str, campaigns: Campaigns, sandbox: Sandbox
) -> None:
    """In the words of the command line, with 2."""
    result = campaigns("run", campaigns.people(JO), "--yes", *options)
    assert (2, "") == (result.exit_code, result.stdout)
    assert said in result.stderr
    assert [] == sandbox.texts


def test_an_empty_list_is_a_mistake(campaigns: Campaigns) -> None:
    """It ends with 2, after saying what was found."""
    result = campaigns.send(to=campaigns.people("12,nobody"))
    assert 2 == result.exit_code
    assert "invalid" in result.stdout
    assert "there is nobody to text in this list" in result.stderr


def test_a_list_that_breaks_off_is_added_again(campaigns: Campaigns, sandbox: Sandbox) -> None:
    """Nobody is texted before all of it was read; the same command with the mended list goes on."""
    broken = Path(campaigns.people(JO, ANN))
    broken.write_bytes(broken.read_bytes() + b"+12025550103,\xff\n")
    result = campaigns.send(to=str(broken))
    assert 2 == result.exit_code
    assert "line 4 is not UTF-8" in result.stderr
    assert "Give 'pidj campaign run' again" in campaigns("status", "spring").stdout
    resumed = campaigns("resume", "spring", "--yes")
    assert 2 == resumed.exit_code
    assert "was not added to its end" in resumed.stderr
    assert [] == sandbox.texts
    assert 0 == campaigns.send(to=campaigns.people(JO, ANN, BO)).exit_code
    assert 3 == len(sandbox.texts)


def test_credentials_are_missed_before_the_list_is_read(campaigns: Campaigns) -> None:
    """A dry run needs none."""
    arguments = ("run", campaigns.people(JO), *BASE, "--store", campaigns.store)
    without = {"PIDJ_TOKEN": None}
    result = campaigns.run_command("campaign", *arguments, "--yes", **without)
    assert 2 == result.exit_code
    assert "PIDJ_TOKEN" in result.stderr
    assert 0 == campaigns.run_command("campaign", *arguments, "--dry-run", **without).exit_code


# --- asking first -------------------------------------------------------------------------------------------------


def test_without_a_terminal_yes_must_be_said(campaigns: Campaigns, sandbox: Sandbox) -> None:
    """`run` and `resume` end with 2, and nobody is texted."""
    for arguments in (("run", campaigns.people(JO), *BASE), ("resume", "spring")):
        result = campaigns(*arguments)
        assert (2, "") == (result.exit_code, result.stdout)
        assert "pass --yes" in result.stderr
    assert [] == sandbox.texts


@pytest.mark.usefixtures("at_a_terminal")
def test_who_says_no_has_sent_and_kept_nothing(campaigns: Campaigns, sandbox: Sandbox) -> None:
    """Not even a store: the same name can be used for the mended list."""
    result = campaigns("run", campaigns.people(JO, ANN), "--id", "spring", *BASE, input="n\n")
    assert 130 == result.exit_code
    assert "Text 2 people? [y/N]" in result.stdout
    assert "nothing was sent" in result.stderr
    assert [] == sandbox.texts
    assert not (campaigns.folder / "campaigns.db").exists()


@pytest.mark.usefixtures("at_a_terminal")
def test_who_says_yes_has_them_texted(campaigns: Campaigns, sandbox: Sandbox) -> None:
    """The question says how many people it is about, also when the campaign is there already."""
    arguments = ("run", campaigns.people(JO), "--id", "spring", *BASE, "--problems", str(campaigns.folder / "x.csv"))
    assert "Text 1 person? [y/N]: y" in campaigns(*arguments, input="y\n").stdout
    result = campaigns(*arguments, input="y\n")
    assert "The campaign is in the store already (1 sent)." in result.stdout
    assert "Text up to 1 person?" in result.stdout
    assert ["+12025550101"] == texted(sandbox)


@pytest.mark.usefixtures("at_a_terminal")
def test_the_question_is_no_part_of_json(campaigns: Campaigns) -> None:
    """It goes to standard error."""
    result = campaigns("run", campaigns.people(JO), "--id", "spring", *BASE, "--json", input="y\n")
    assert "done" == json.loads(result.stdout)["state"]
    assert "Text 1 person?" in result.stderr


@pytest.mark.usefixtures("at_a_terminal")
def test_resuming_asks_too(campaigns: Campaigns, sandbox: Sandbox) -> None:
    """With how many are left."""
    sandbox.fail_next("messages.send", status=403)
    campaigns.send("--concurrency", "1", to=campaigns.people(JO, ANN))
    assert 130 == campaigns("resume", "spring", input="n\n").exit_code
    result = campaigns("resume", "spring", input="y\n")
    assert "Campaign spring: 2 waiting.\nText 2 people? [y/N]: y" in result.stdout
    assert 2 == len(texted(sandbox))


# --- a dry run ----------------------------------------------------------------------------------------------------


def test_a_dry_run_keeps_nothing(campaigns: Campaigns, sandbox: Sandbox) -> None:
    """No text, no store, no campaign; what was found is told."""
    result = campaigns("run", campaigns.people(JO, "12,x"), *BASE, "--dry-run", "--rate", "2")
    assert 0 == result.exit_code
    assert "A dry run: nobody was texted, and nothing was kept." in result.stdout
    assert "about 1 s at 2 a second" in result.stdout
    assert [] == sandbox.texts
    assert ["people.csv"] == [each.name for each in campaigns.folder.iterdir()]


def test_a_dry_run_knows_who_is_suppressed(campaigns: Campaigns) -> None:
    """With --json all that was found is one document, the estimates in it."""
    campaigns.run_command("suppressions", "add", "+12025550102", "--store", campaigns.store)
    options = ("--dry-run", "--json", "--price-per-segment", "0.0075", "--rate", "0.5")
    document = json.loads(campaigns("run", campaigns.people(JO, ANN), *BASE, *options).stdout)
    names = ("recipients", "suppressed", "texts", "segments", "estimated_cost", "estimated_seconds")
    assert (2, 1, 1, 1, 0.0075, 2.0) == tuple(document[name] for name in names)
    assert [] == json.loads(campaigns("list", "--json").stdout)


# --- invalid lines ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["--dry-run", "--yes"])
def test_all_invalid_lines_are_written(how: str, campaigns: Campaigns) -> None:
    """Ten are told, all are in the file, each once, numbers masked."""
    file = campaigns.folder / "problems.csv"
    lines = [f"+120255{number},x" for number in range(1_000, 2_150)]
    result = campaigns("run", campaigns.people(JO, *lines), *BASE, how, "--problems", str(file))
    assert 0 == result.exit_code, result.output
    assert "and 1,140 more invalid lines" in result.stdout
    with file.open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert [str(line) for line in range(3, 1_153)] == [row["line"] for row in rows]
    assert "+1202551000" not in file.read_text()


@pytest.mark.usefixtures("at_a_terminal")
def test_invalid_lines_are_written_once_also_if_somebody_is_asked(campaigns: Campaigns) -> None:
    """The list is read twice then."""
    file = campaigns.folder / "problems.csv"
    campaigns("run", campaigns.people(JO, "12,x"), *BASE, "--problems", str(file), input="y\n")
    assert 2 == len(file.read_text().splitlines())


def test_a_file_for_problems_must_be_possible(campaigns: Campaigns) -> None:
    """It ends with 2 before anything is read."""
    result = campaigns.send("--problems", str(campaigns.folder / "no" / "x.csv"), to=campaigns.people(JO))
    assert (2, "") == (result.exit_code, result.stdout)
    assert "No such file" in result.stderr


# --- how it ends --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("faults", "code", "state"),
    [
        ([], 0, "done"),
        ([{"status": 422}], 0, "done"),
        ([{"status": 429, "retry_after": 0.1}], 0, "done"),
        ([{"status": 503}], 11, "done"),
        ([{"drop": True}], 11, "done"),
        ([{"status": 401}], 12, "paused"),
    ],
)
def test_the_code_says_how_it_ended(
    faults: list[dict[str, Any]], code: int, state: str, campaigns: Campaigns, sandbox: Sandbox
) -> None:
    """0 when all is known, 11 with texts in doubt, 12 when it paused itself; with --json, too."""
    for fault in faults:
        sandbox.fail_next("messages.send", **fault)
    result = campaigns.send("--concurrency", "1", "--json", to=campaigns.people(JO, ANN))
    assert (code, state) == (result.exit_code, json.loads(result.stdout)["state"])


def test_too_many_in_doubt_pause_it(campaigns: Campaigns, sandbox: Sandbox) -> None:
    """--max-in-doubt says how many; the reason is told."""
    sandbox.fail_next("messages.send", drop=True, times=2)
    options = ("--concurrency", "1", "--max-in-doubt", "1")
    result = campaigns.send(*options, to=campaigns.people(JO, ANN, BO))
    assert 12 == result.exit_code
    assert "max_in_doubt" in result.stdout or "in doubt" in result.stdout
    assert [] == texted(sandbox)


def test_the_end_comes_before_some_are_texted(campaigns: Campaigns, sandbox: Sandbox) -> None:
    """--ends-at in the past: nobody is texted, everybody has expired."""
    result = campaigns.send("--ends-at", "2020-01-31T18:00-05:00", to=campaigns.people(JO, ANN))
    assert 0 == result.exit_code, result.output
    assert 2 == status_of(campaigns)["counts"]["expired"]
    assert [] == sandbox.texts


# --- real processes -----------------------------------------------------------------------------------------------


@pytest.fixture
def begin(campaigns: Campaigns, sandbox: Sandbox) -> Callable[..., subprocess.Popen[str]]:
    """Start a campaign of 400 people in a process of its own, and wait until it texts."""
    lines = [f"+1{area}55501{line:02},Jo" for area in (202, 212, 213, 305) for line in range(100)]
    to = campaigns.people(*lines)

    def begin(*arguments: str, resume: bool = False) -> subprocess.Popen[str]:
        before = len(sandbox.texts)
        head = ("resume", "spring") if resume else ("run", to, "--id", "spring", *BASE, "--rate", "100")
        command = [*PIDJ, "campaign", *head, "--yes", "--store", campaigns.store, *arguments]
        env = {"PIDJ_ACCOUNT_KEY": "key", "PIDJ_TOKEN": TOKEN, "PIDJ_BASE_URL": sandbox.base_url}
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8", env=os.environ | env
        )
        give_up_at = time.monotonic() + 60
        while len(sandbox.texts) < before + 20:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < give_up_at
            time.sleep(0.01)
        return process

    return begin


Begin = Callable[..., "subprocess.Popen[str]"]


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_it_end_in_good_order(
    number: signal.Signals, begin: Begin, campaigns: Campaigns, sandbox: Sandbox
) -> None:
    """What is under way comes back, nothing is in doubt, and the command that goes on is told; it ends with 130."""
    process = begin()
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert 130 == process.returncode
    assert "Stopping." in stderr
    assert f"pidj campaign resume spring --store {campaigns.store}" in stdout
    counts = status_of(campaigns)["counts"]
    assert (len(sandbox.texts), 0, 0) == (counts["sent"], counts["sending"], counts["in_doubt"])
    assert 400 == counts["sent"] + counts["ready"]
    resumed = json.loads(campaigns("resume", "spring", "--yes", "--concurrency", "50", "--json").stdout)
    assert ("done", 400) == (resumed["state"], resumed["counts"]["sent"])
    assert 400 == len(set(texted(sandbox))) == len(sandbox.texts)


@posix
def test_interrupted_with_json_it_still_is_one_document(begin: Begin) -> None:
    """The status, and nothing on standard error."""
    process = begin("--json")
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert (130, "") == (process.returncode, stderr)
    assert "running" == json.loads(stdout)["state"]


@posix
def test_a_second_ctrl_c_cuts_off_what_is_under_way(begin: Begin, campaigns: Campaigns, sandbox: Sandbox) -> None:
    """It need not wait for replies that do not come, and knows of each text what it was."""
    process = begin()
    with sandbox._engine.lock:  # nobody gets a reply any more
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert 130 == process.returncode
    assert "Cut off." in stderr
    assert "in doubt" in stdout
    counts = status_of(campaigns)["counts"]
    assert 0 == counts["sending"]
    assert 1 <= counts["in_doubt"] <= 100
    assert 400 == counts["sent"] + counts["ready"] + counts["in_doubt"]
    resumed = campaigns("resume", "spring", "--yes", "--json")
    assert 11 == resumed.exit_code
    assert 1 == max(Counter(texted(sandbox)).values())


@posix
def test_a_killed_campaign_is_resumed(begin: Begin, campaigns: Campaigns, sandbox: Sandbox) -> None:
    """What was under way is in doubt, nobody is texted twice, and everybody else is texted."""
    for resume in (False, True):
        process = begin(resume=resume)
        process.kill()
        process.communicate(timeout=60)
    result = campaigns("resume", "spring", "--yes", "--json")
    counts = json.loads(result.stdout)["counts"]
    assert 11 == result.exit_code
    assert 400 == counts["sent"] + counts["in_doubt"]
    assert 1 <= counts["in_doubt"] <= 200
    assert 1 == max(Counter(texted(sandbox)).values())


@posix
def test_into_a_pipe_no_line_moves(begin: Begin) -> None:
    """A run of a few seconds says nothing on the way, and there are no control characters."""
    process = begin()
    stdout, stderr = process.communicate(timeout=60)
    assert (0, "") == (process.returncode, stderr)
    assert "\x1b" not in stdout


@posix
def test_at_a_terminal_it_asks_and_shows_how_it_goes(campaigns: Campaigns, sandbox: Sandbox) -> None:
    """A real terminal: the question, two lines that move, and Ctrl-C typed at it."""
    import pty  # noqa: PLC0415  Windows has none

    lines = [f"+1{area}55501{line:02},Jo" for area in (202, 212, 213, 305) for line in range(100)]
    arguments = ("run", campaigns.people(*lines), "--id", "spring", *BASE, "--rate", "50", "--store", campaigns.store)
    here, there = pty.openpty()
    env = {"PIDJ_ACCOUNT_KEY": "key", "PIDJ_TOKEN": TOKEN, "PIDJ_BASE_URL": sandbox.base_url, "TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, "-c", _AT_A_TERMINAL, *arguments],
        stdin=there,
        stdout=there,
        stderr=there,
        env=os.environ | env,
    )
    os.close(there)
    seen = _read_until(here, b"[y/N]")
    os.write(here, b"y\n")
    seen += _read_until(here, b" a second")
    seen += _read_until(here, b" under way")
    os.write(here, b"\x03")
    seen += _read_until(here, None)
    os.close(here)
    assert 130 == process.wait(60)
    shown = seen.decode()
    for told in ("Text 400 people?", "Sending", "50 a second", "at a time", "Stopping.", "pidj campaign resume spring"):
        assert told in shown, shown


_AT_A_TERMINAL = """\
import os, sys, termios, fcntl
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C, typed there, is a signal here
os.execv(sys.executable, [sys.executable, "-m", "pidj_async", "campaign", *sys.argv[1:]])
"""


def _read_until(terminal: int, wanted: bytes | None) -> bytes:
    seen = b""
    while wanted is None or wanted not in seen:
        try:
            more = os.read(terminal, 65_536)
        except OSError:  # the other end is closed
            break
        seen += more
        if not more:
            break
    return seen


def test_a_result_is_masked_everywhere(campaigns: Campaigns, sandbox: Sandbox) -> None:
    """No number and no text is in what `run` writes, whatever goes wrong."""
    sandbox.fail_next("messages.send", status=422)
    sandbox.fail_next("messages.send", status=503)
    result = campaigns.send(to=campaigns.people(JO, ANN, BO, "(202) 555-01,x", "+1202555010x,x"))
    told = result.stdout + result.stderr
    for secret in ("2025550101", "2025550102", "2025550103", "555-01,", TOKEN, "Hi Jo"):
        assert secret not in told


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "Nothing is under way."),
        (1, "1 text is under way; Ctrl-C once more cuts it off, and it is in doubt."),
        (1_200, "1,200 texts are under way; Ctrl-C once more cuts them off, and they are in doubt."),
    ],
)
def test_what_a_second_ctrl_c_would_do_is_said(count: int, expected: str) -> None:
    """If there is anything that it could do something to."""
    assert expected == _under_way(count)
