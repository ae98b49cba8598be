"""A campaign is killed again and again, and nobody is texted twice.

A server in a process of its own counts the texts per number; the process that sends them is SIGKILLed at random
moments and started again, until the campaign is done. Then the server's count and the ledger, read with plain SQL, are
compared; `Books` says what must hold.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.stores import new_schema

from .books import Books
from .laboratory import (
    CountingServer,
    Victim,
    counting_server,
    is_locked,
    late_settlements,
    rows_of,
    start_command,
    start_victim,
)

CONCURRENCY = 40
TEXTS_PER_KILL = 150
"""Texts that are left after the last kill, however late it comes on a busy machine."""
PATIENCE = 120.0
"""Seconds for the last process to finish what is left."""

IN_DOUBT = 11
INTERRUPTED = 130
"""What `pidj campaign` exits with, when texts are in doubt, and after Ctrl-C."""

FAULTS = {
    "drop-after": 0.02,
    "drop-before": 0.02,
    "reset-after": 0.02,
    "reset-before": 0.02,
    "cut-off": 0.01,
    "503-after": 0.01,
    "503-before": 0.01,
    "500-after": 0.01,
    "hang-after": 0.002,
    "hang-before": 0.002,
    "slow": 0.01,
    "unreadable": 0.02,
    "declined": 0.03,
}
CALM = {"seed": 4, "delay": 0.01}
ROUGH = {"seed": 5, "delay": 0.01, "fates": FAULTS, "storm": [400, 30]}

#: One dose by default, and one for the long run.
DOSES = [8, pytest.param(200, marks=[pytest.mark.soak, pytest.mark.timeout(3_600)])]
SMALL_DOSES = [4, pytest.param(40, marks=[pytest.mark.soak, pytest.mark.timeout(3_600)])]

pytestmark = pytest.mark.timeout(300)


@attrs.define
class Experiment:
    """A campaign, its killer, and what is known of it at the end."""

    store_url: str
    server: CountingServer
    recipients: Path
    numbers: frozenset[str]
    chance: random.Random
    reserve: int
    kills: int = 0

    def start(self, *, lease: float = 30.0, join: bool = False) -> Victim:
        base_url = self.server.base_url
        return start_victim(self.store_url, base_url, self.recipients, concurrency=CONCURRENCY, lease=lease, join=join)

    def start_command(self) -> Victim:
        """One of the two ways in which a person would go on."""
        resume = self.server.wait(0) > 0 and self.chance.random() < 0.5
        base_url = self.server.base_url
        return start_command(self.store_url, base_url, self.recipients, concurrency=CONCURRENCY, resume=resume)

    def let_it_send(self, victim: Victim, left: int) -> None:
        """Wait for a part of what is left of the campaign, so that there is something left after so many kills."""
        sent = self.server.wait(0)
        share = (len(self.numbers) - self.reserve - sent) // (left + 1)
        aim = sent + self.chance.randint(1, max(1, 3 * share // 2))
        while self.server.wait(aim) < aim and not victim.has_ended:
            pass
        time.sleep(self.chance.uniform(0, 0.01))

    def kill_while_sending(self, victim: Victim, left: int) -> None:
        """Kill it in the middle of something."""
        self.let_it_send(victim, left)
        killed = victim.kill()
        assert killed, f"it ended by itself: {victim.last_words()}"
        self.kills += killed

    def kill_at_any_moment(self, victim: Victim) -> None:
        """Also while it starts, while it adds its recipients, or while it takes the claims of the dead away."""
        time.sleep(self.chance.uniform(0.3, 1.2))
        self.kills += victim.kill()

    def finish(self) -> None:
        with self.start() as victim:
            assert victim.result(PATIENCE)["state"] == "done"

    def books(self) -> Books:
        return Books(rows=rows_of(self.store_url), log=self.server.log(), numbers=self.numbers)


def write_recipients(path: Path, count: int) -> frozenset[str]:
    numbers = [f"+1202{2_000_000 + each:07d}" for each in range(count)]
    path.write_text("phone_number,name\n" + "".join(f"{number},P{each}\n" for each, number in enumerate(numbers)))
    return frozenset(numbers)


def prepare(store_url: str, server: CountingServer, folder: Path, kills: int) -> Experiment:
    recipients = folder / "recipients.csv"
    reserve = max(300, 10 * kills)  # for the last kill: what is sent until it strikes, after so many that came too late
    numbers = write_recipients(recipients, kills * TEXTS_PER_KILL + reserve)
    return Experiment(store_url, server, recipients, numbers, random.Random(kills), reserve)


def tell(experiment: Experiment, books: Books, started: float) -> None:
    print(f"{experiment.kills} kills, {books}, {time.perf_counter() - started:.1f} s")  # noqa: T201


def killed_again_and_again(store_url: str, folder: Path, plan: Mapping[str, Any], kills: int) -> Books:
    started = time.perf_counter()
    with counting_server(plan) as server:
        experiment = prepare(store_url, server, folder, kills)
        while experiment.kills < kills:
            with experiment.start() as victim:
                if experiment.chance.random() < 0.2:
                    experiment.kill_at_any_moment(victim)
                else:
                    experiment.kill_while_sending(victim, kills - experiment.kills)
        experiment.finish()
        books = experiment.books()
    tell(experiment, books, started)
    return books


@pytest.mark.parametrize("kills", DOSES)
def test_killed_while_pidj_is_well(tmp_path: Path, kills: int) -> None:
    """Nobody gets two texts, nobody is forgotten, and only a kill leaves a text in doubt."""
    books = killed_again_and_again(f"sqlite:///{tmp_path / 'store.db'}", tmp_path, CALM, kills)

    books.check(at_most_killed=kills * CONCURRENCY)
    assert books.killed == books.in_doubt


@pytest.mark.parametrize("kills", DOSES)
def test_killed_while_pidj_misbehaves(tmp_path: Path, kills: int) -> None:
    """The same with lost replies, resets, hangs, storms of 429 and 503s that were acted on."""
    books = killed_again_and_again(f"sqlite:///{tmp_path / 'store.db'}", tmp_path, ROUGH, kills)

    books.check(at_most_killed=kills * CONCURRENCY)
    met = {fate for requests in books.log.values() for fate, _ in requests}
    assert {"ok", "throttled", "declined", "drop-after", "reset-before", "503-after"} <= met


@pytest.mark.parametrize("plan", [CALM, ROUGH], ids=["well", "misbehaving"])
@pytest.mark.parametrize("kills", SMALL_DOSES)
def test_killed_on_postgresql(postgresql: str, tmp_path: Path, plan: Mapping[str, Any], kills: int) -> None:
    """What the database is makes no difference."""
    books = killed_again_and_again(new_schema(postgresql), tmp_path, plan, kills)

    books.check(at_most_killed=kills * CONCURRENCY)


@pytest.mark.parametrize("kills", SMALL_DOSES)
def test_two_processes_killed_by_turns(store_url: str, tmp_path: Path, kills: int) -> None:
    """Both send from one store at once. What a dead one has claimed is not sent by the other one."""
    started = time.perf_counter()
    with counting_server(ROUGH) as server:
        experiment = prepare(store_url, server, tmp_path, kills)
        victims = [experiment.start()]
        try:
            while server.wait(1) < 1:
                pass
            victims.append(experiment.start(join=True))
            while experiment.kills < kills:
                which = experiment.chance.randrange(2)
                with victims[which] as victim:
                    experiment.kill_while_sending(victim, kills - experiment.kills)
                victims[which] = experiment.start(join=True)
            states = [victim.result(PATIENCE)["state"] for victim in victims]
        finally:
            for victim in victims:
                with victim:
                    victim.kill()
        experiment.finish()
        books = experiment.books()
    tell(experiment, books, started)

    assert ["done", "done"] == states
    books.check(at_most_killed=kills * CONCURRENCY)


@pytest.mark.parametrize("kills", SMALL_DOSES)
def test_the_command_killed(tmp_path: Path, kills: int) -> None:
    """``pidj campaign run``, killed, and gone on with by ``run`` or ``resume``."""
    started = time.perf_counter()
    # Without hangs: a person's command waits for a reply longer than a test wants to.
    plan = ROUGH | {"fates": {fate: chance for fate, chance in FAULTS.items() if "hang" not in fate}}
    with counting_server(plan) as server:
        experiment = prepare(f"sqlite:///{tmp_path / 'store.db'}", server, tmp_path, kills)
        while experiment.kills < kills:
            with experiment.start_command() as victim:
                experiment.kill_while_sending(victim, kills - experiment.kills)
        with experiment.start_command() as victim:
            status = victim.result(PATIENCE, statuses={IN_DOUBT})
        books = experiment.books()
    tell(experiment, books, started)

    books.check(at_most_killed=kills * CONCURRENCY)
    assert Counter(row.state for row in books.rows.values()) == {
        state: count for state, count in status["counts"].items() if count
    }


def test_the_command_interrupted(tmp_path: Path) -> None:
    """After Ctrl-C what is under way comes back: nobody is in doubt, and everybody gets the text in the end."""
    with counting_server(CALM) as server:
        experiment = prepare(f"sqlite:///{tmp_path / 'store.db'}", server, tmp_path, kills=3)
        for left in (3, 2, 1):
            with experiment.start_command() as victim:
                experiment.let_it_send(victim, left)
                victim.interrupt()
                status = victim.result(PATIENCE, statuses={INTERRUPTED})
            assert ("running", 0, 0) == (status["state"], status["counts"]["sending"], status["counts"]["in_doubt"])
        with experiment.start_command() as victim:
            assert victim.result(PATIENCE)["state"] == "done"

        assert {number: [("ok", True)] for number in experiment.numbers} == server.log()


def test_an_outage_costs_no_more_than_what_was_in_the_air(tmp_path: Path) -> None:
    """Pidj is gone for two seconds: the campaign waits, by itself goes on, and only what was under way is in doubt."""
    with counting_server(CALM | {"outage": [300, 2.0]}) as server:
        experiment = prepare(f"sqlite:///{tmp_path / 'store.db'}", server, tmp_path, kills=6)
        started = time.perf_counter()
        experiment.finish()
        books = experiment.books()
    tell(experiment, books, started)

    # Each connection breaks once, under one text at most.
    assert 0 < len(books.in_doubt) <= CONCURRENCY
    assert books.numbers == books.of("sent") | books.in_doubt
    assert (set(), set(), set(), set()) == (books.twice, books.unsettled, books.misjudged, books.asked_again)


def test_a_process_that_was_frozen_and_thought_dead_changes_nothing(store_url: str, tmp_path: Path) -> None:
    """Stopped in the middle for longer than its lease, while another one finishes; then it goes on, and is refused."""
    lease = 1.5
    with counting_server(CALM) as server:
        experiment = prepare(store_url, server, tmp_path, kills=4)
        with experiment.start(lease=lease) as frozen:
            while server.wait(200) < 200:
                pass
            frozen.freeze()
            while is_locked(store_url):  # in the middle of a transaction it would hold up everybody
                frozen.thaw()
                time.sleep(0.003)
                frozen.freeze()
            with experiment.start(lease=lease) as other:
                assert other.result(PATIENCE)["state"] == "done"
            before = experiment.books()
            frozen.thaw()
            assert frozen.result(PATIENCE)["state"] == "done"
        books = experiment.books()

    books.check(at_most_killed=CONCURRENCY)
    assert before.rows == books.rows
    assert 0 < len(books.in_doubt) <= CONCURRENCY
    assert set(late_settlements(store_url)) <= books.in_doubt


def test_a_campaign_that_is_done_sends_nothing_more(tmp_path: Path) -> None:
    """Run again, with the same recipients added again: the server hears of nobody."""
    with counting_server(CALM) as server:
        experiment = prepare(f"sqlite:///{tmp_path / 'store.db'}", server, tmp_path, kills=1)
        experiment.finish()
        first = server.log()
        experiment.finish()

        assert first == server.log()
    assert {number: [("ok", True)] for number in experiment.numbers} == first
