"""What is played in ``pidj demo``: a campaign, the people whom it texts, and whatever can go wrong.

A sandbox stands in for Pidj, with real sockets in both directions. The counts are the same every time, but for how many
texts are under way when the process is killed. For that:

1. Which recipient a fault hits depends on timing. So faults come while people are being texted of whom none makes the
   sandbox refuse: the shipped list has those of whose STOP only the sandbox knows at its end.
2. Who said STOP is on the suppression list before anybody goes on sending.
3. Who answers is counted in the order in which texts are known to be sent, among the first `REACTING` of them.
"""

from __future__ import annotations

import csv
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.to_thread
import uvicorn

from pidj_async.campaigns.campaign import Campaign
from pidj_async.campaigns.states import RecipientState
from pidj_async.campaigns.statistics import report_of
from pidj_async.cli.demo_books import Books
from pidj_async.cli.serving import listen, url_of
from pidj_async.client import Pidj
from pidj_async.sandbox import Sandbox
from pidj_async.store import Store
from pidj_async.suppressions import Suppressions
from pidj_async.webhooks import Dispatcher, Event, OptedOut, Receiver, TextReceived
from pidj_async.webhooks.inbox import Inbox

if TYPE_CHECKING:
    from pidj_async.campaigns.campaign import Progress
    from pidj_async.campaigns.figures import CampaignReport
    from pidj_async.campaigns.preflight import PreflightReport
    from pidj_async.campaigns.records import RecipientRecord
    from pidj_async.campaigns.runner import CampaignOutcome

__all__ = ["Play", "shipped_recipients"]

CAMPAIGN: Final = "library"
TEMPLATE: Final = "Hi {first_name}, the library is open again from Saturday at 9. Reply STOP to get no more texts."
ANSWERS: Final = ("Great news!", "Thank you", "Is the café open too?", "Who is this?", "👍")
CONCURRENCY: Final = 100

KILL_AFTER: Final = 500
"""How many texts have arrived when the process that sends them is killed."""

ELSEWHERE_FROM: Final = 1_000
"""From this line on, those who had said STOP did so before there was a receiver."""

MEANWHILE: Final = range(1_400, 1_425)
"""The lines of those who say STOP when the process has been killed, before it is their turn."""

REACTING: Final = 800
EVERY_ANSWER: Final = 6
EVERY_STOP: Final = 40

# How many texts are known to be sent, since the campaign went on, when the faults come, and what they are.
FAULTS: Final[dict[int, tuple[dict[str, Any], ...]]] = {
    0: ({"drop": True, "times": 3}, {"status": 429, "retry_after": 0.2, "times": 12}),
    250: (
        {"drop": True, "after_acting": True, "times": 4},
        {"status": 429, "retry_after": 0.2, "times": 12},
        {"status": 500, "after_acting": True, "times": 2},
        {"status": 503, "times": 3},
    ),
}

_PATIENCE: Final = 60.0


def shipped_recipients() -> Path:
    """Find the list that ships with the demonstration: a file of the wheel, or of ``examples/`` in a checkout."""
    packed = Path(__file__).with_name("recipients.csv")
    return packed if packed.is_file() else Path(__file__).parents[2] / "examples" / "recipients.csv"


def _who_opted_out(path: Path) -> frozenset[int]:
    """The lines of those whom the list says to have opted out."""
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        return frozenset(reader.line_num for row in reader if row["opted_out"] == "yes")


class Play:
    """One performance. Its methods are its acts, in their order.

    Args:
        folder: Where its store is.
        sandbox: Stands in for Pidj.
    """

    def __init__(self, folder: str, sandbox: Sandbox) -> None:
        self.books = Books()
        self.sandbox = sandbox
        self._store = Store(f"sqlite:///{folder}/demo.db")
        self._folder = folder
        self._pidj = Pidj(base_url=sandbox.base_url, account_key=sandbox.account_key, token=sandbox.token)
        self._campaign = Campaign(
            self._store,
            CAMPAIGN,
            client=self._pidj,
            text=TEMPLATE,
            group_id=sandbox.group_id,
            hours="any",  # the demonstration is shown at any time
            concurrency=CONCURRENCY,
        )
        self._people: dict[int, str] = {}  # by line
        self._sent = 0

    async def aclose(self) -> None:
        """Let go of everything."""
        await self._pidj.aclose()
        await self._store.aclose()

    async def check_list(self) -> PreflightReport:
        """Read the list into the campaign."""
        path = shipped_recipients()
        report = await self._campaign.add(path, name=path.name)
        self.books.note_list(report)
        self._people = {each.line: each.phone_number async for each in self._campaign.recipients()}
        return report

    def say_stop_elsewhere(self) -> None:
        """Some say STOP before there is a receiver: only the sandbox knows."""
        lines = [line for line in _who_opted_out(shipped_recipients()) if line >= ELSEWHERE_FROM]
        self.books.said_elsewhere = self._say_stop(lines)

    async def say_stop_before(self) -> None:
        """Others say it to a receiver: their STOP is on the suppression list before the campaign begins."""
        lines = [line for line in _who_opted_out(shipped_recipients()) if line < ELSEWHERE_FROM]
        self.books.said_before = self._say_stop(lines)
        await self.settle()

    async def crash(self) -> int:
        """Have another process send, and kill it. Return how many texts had arrived."""
        await anyio.to_thread.run_sync(self._crash)
        return len(self.sandbox.texts)

    def _crash(self) -> None:
        command = [sys.executable, "-m", "pidj_async", "campaign", "resume", CAMPAIGN, "--yes", "--json"]
        credentials = {
            "PIDJ_ACCOUNT_KEY": self.sandbox.account_key,
            "PIDJ_TOKEN": self.sandbox.token,
            "PIDJ_BASE_URL": self.sandbox.base_url,
            "PIDJ_STORE": f"sqlite:///{self._folder}/demo.db",
        }
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(  # noqa: S603  this very program
            command, env=os.environ | credentials, stdin=quiet, stdout=quiet, stderr=quiet
        )
        try:
            give_up_at = time.monotonic() + _PATIENCE
            while len(self.sandbox.texts) < KILL_AFTER and process.poll() is None and time.monotonic() < give_up_at:
                time.sleep(0.005)
            self.books.killed = int(process.poll() is None)
        finally:
            process.kill()
            process.wait()

    async def say_stop_meanwhile(self) -> None:
        """While nobody sends, some say STOP before it is their turn."""
        self.books.said_meanwhile = self._say_stop(MEANWHILE)
        await self.settle()

    async def go_on(self, on_progress: Callable[[Progress], object]) -> None:
        """Send to everybody else; some requests fail, and some of the people answer."""
        self._inject(0)
        await self._campaign.run(on_outcome=self._react, on_progress=on_progress)
        await self.settle()

    def _react(self, outcome: CampaignOutcome) -> None:
        if outcome.state is not RecipientState.SENT:
            return
        self._sent += 1
        self._inject(self._sent)
        number = outcome.phone_number
        if self._sent > REACTING:
            return
        if self._sent % EVERY_STOP == 0:
            self.sandbox.receive_text(number, "STOP")
            self.books.said_after.add(number)
        elif self._sent % EVERY_ANSWER == 0:
            raised = self.sandbox.receive_text(number, ANSWERS[self.books.answers_said % len(ANSWERS)])
            self.books.answers_said += "text-received" in raised

    def _inject(self, sent: int) -> None:
        for fault in FAULTS.get(sent, ()):
            self.sandbox.fail_next("messages.send", **fault)
            if fault.get("status") == 429:
                self.books.throttled += fault["times"]
            else:
                self.books.lost += fault["times"]

    def _say_stop(self, lines: Collection[int]) -> set[str]:
        numbers = {self._people[line] for line in lines if line in self._people}
        for number in numbers:
            self.sandbox.receive_text(number, "STOP")
        return numbers

    async def settle(self) -> None:
        """Wait until every webhook has come, and every event was handled."""
        await self.sandbox.drain(_PATIENCE)
        inbox = Inbox(self._store)
        with anyio.fail_after(_PATIENCE):
            while (counts := await inbox.counts()) and counts["pending"] + counts["leased"]:  # noqa: ASYNC110  a database
                await anyio.sleep(0.02)

    async def close_books(self) -> CampaignReport:
        """Count everything, on all sides, and report."""
        recipients: list[RecipientRecord] = [each async for each in self._campaign.recipients()]
        self.books.note_ledger(recipients)
        in_doubt = {each.phone_number for each in recipients if each.state is RecipientState.IN_DOUBT}
        self.books.note_sandbox(self.sandbox, in_doubt)
        self.books.on_the_list = await Suppressions(self._store).count()
        self.books.events_handled = (await Inbox(self._store).counts())["handled"]
        return await report_of(self._store, CAMPAIGN)

    # ------------------------------------------------------------------------------------------------------- inbound

    def _handlers(self) -> Dispatcher:
        """Make handlers that count. They run on the receiver's thread, and nobody else writes these numbers."""
        dispatcher = Dispatcher()
        books = self.books

        @dispatcher.on(TextReceived)
        async def answer(event: TextReceived) -> None:
            if event.message.strip().upper() != "STOP":
                books.answers_heard += 1

        @dispatcher.on(OptedOut)
        async def say_goodbye(event: OptedOut) -> None:
            if event.phone_number is not None:
                books.stops_heard += 1

        @dispatcher.on(Event)
        async def count(_: Event) -> None:
            books.events_heard += 1

        return dispatcher

    @asynccontextmanager
    async def receiving(self) -> AsyncGenerator[str]:
        """Receive webhooks into an inbox, on a thread of its own, and say where."""
        secret = secrets.token_urlsafe()
        inbox = Inbox(Store(f"sqlite:///{self._folder}/demo.db"))  # a store belongs to one event loop
        app = Receiver(self._handlers(), secret=secret, path="/webhooks", inbox=inbox).asgi()
        listener = listen("127.0.0.1", 0)
        server = uvicorn.Server(
            uvicorn.Config(
                app, lifespan="on", ws="none", access_log=False, log_config=None, timeout_graceful_shutdown=1
            )
        )
        # Connections are taken from now on, by the listener, and answered as soon as the thread is ready.
        thread = threading.Thread(target=server.run, args=([listener],), name="pidj-demo-receiver", daemon=True)
        thread.start()
        try:
            url = url_of(listener)
            self.sandbox.webhook_url = f"{url}/webhooks".replace("//", f"//pidj:{secret}@", 1)
            yield url
        finally:
            server.should_exit = True
            await anyio.to_thread.run_sync(thread.join)
            listener.close()
            await inbox.store.aclose()
