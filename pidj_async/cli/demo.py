"""``pidj demo``: the whole product on a sandbox of its own, with real sockets in both directions.

A list is checked and sent to, some requests fail in every way there is, people answer and say STOP, their texts come
back as webhooks, and in the end everything is counted twice: as this side saw it, and as the sandbox did.

The counts are the same every time. Which recipient a fault hits depends on timing, so the faults come while people
are being texted of whom none has opted out: the shipped list has its opt-outs elsewhere.
"""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import attrs
import click

from pidj_async.cli.settings import Settings, shared_options

if TYPE_CHECKING:
    from rich.console import Console

    from pidj_async._endpoint import Endpoint
    from pidj_async.cli.recipients import Preflight, Recipient
    from pidj_async.errors import PidjError
    from pidj_async.outcomes import Outcome
    from pidj_async.retries import Backoff, RetryPolicy
    from pidj_async.sandbox import Sandbox
    from pidj_async.webhooks import Dispatcher

__all__ = ["Check", "Tally", "checks_of", "demo"]

CONCURRENCY: Final = 200
TEMPLATE: Final = "Hi {first_name}, the library is open again from Saturday at 9. Reply STOP to get no more texts."
ANSWERS: Final = ("Great news!", "Thank you", "Is the café open too?", "Who is this?", "👍")

# Of those whose text was accepted, counted in the order in which that is known.
EVERY_ANSWER: Final = 6
EVERY_STOP: Final = 40

# How many outcomes are known when the faults come, and what they are. See the head of the module.
FAULTS: Final[dict[int, tuple[dict[str, Any], ...]]] = {
    0: ({"drop": True, "times": 3}, {"status": 429, "retry_after": 0.2, "times": 12}),
    1_150: (
        {"drop": True, "after_acting": True, "times": 4},
        {"status": 500, "after_acting": True, "times": 2},
        {"status": 503, "times": 3},
        {"status": 429, "retry_after": 0.2, "times": 12},
    ),
}

INVALID_SHOWN: Final = 5
DRAIN_TIMEOUT: Final = 60.0


@attrs.define
class Tally:
    """What happened, as this side saw it and as the sandbox did.

    Attributes:
        preflight: The list, sorted.
        accepted: Texts that Pidj took.
        refused: Texts that were refused to people who had said STOP before.
        other_not_sent: Texts that were not sent for any other reason.
        unknown: Texts of which nobody on this side knows whether they were sent.
        retries: How many requests were tried again.
        seconds: How long sending took.
        unknown_numbers: Whom the texts of unknown outcome were for.
        arrived: How many texts the sandbox has.
        unknown_arrived: How many of those are of unknown outcome here.
        texted_twice: How many people got more than one.
        texted_in_spite: How many got one although they had said STOP.
        answers_said: How many answered, as the sandbox knows.
        stops_said: How many said STOP, as the sandbox knows.
        webhooks_delivered: Webhooks that the receiver took.
        webhooks_failed: Webhooks that it did not take, also when tried again.
        webhooks_fired: Webhooks that there were.
        answers_heard: Answers that the handler counted.
        stops_heard: Opt-outs that the handler counted.
        events_heard: Events that the handler of all events counted.
    """

    preflight: Preflight
    accepted: int = 0
    refused: int = 0
    other_not_sent: int = 0
    unknown: int = 0
    retries: int = 0
    seconds: float = 0.0
    unknown_numbers: set[str] = attrs.field(factory=set, repr=False)
    arrived: int = 0
    unknown_arrived: int = 0
    texted_twice: int = 0
    texted_in_spite: int = 0
    answers_said: int = 0
    stops_said: int = 0
    webhooks_delivered: int = 0
    webhooks_failed: int = 0
    webhooks_fired: int = 0
    answers_heard: int = 0
    stops_heard: int = 0
    events_heard: int = 0

    @property
    def not_sent(self) -> int:
        """Texts that were proven not to be sent."""
        return self.refused + self.other_not_sent

    @property
    def outcomes(self) -> int:
        """Texts whose outcome has come."""
        return self.accepted + self.not_sent + self.unknown

    def add(self, recipient: Recipient, outcome: Outcome) -> None:
        """Count an outcome."""
        from pidj_async.errors import RefusedError  # noqa: PLC0415  see `demo`
        from pidj_async.outcomes import OutcomeState  # noqa: PLC0415

        if outcome.state is OutcomeState.ACCEPTED:
            self.accepted += 1
        elif outcome.state is OutcomeState.UNKNOWN:
            self.unknown += 1
            self.unknown_numbers.add(recipient.text.to_number)
        elif recipient.opted_out and isinstance(outcome.error, RefusedError):
            self.refused += 1
        else:
            self.other_not_sent += 1

    def compare_with(self, sandbox: Sandbox) -> None:
        """Count what the sandbox has."""
        texts = Counter(text.to_number for text in sandbox.texts if text.kind == "text")
        self.arrived = texts.total()
        self.unknown_arrived = sum(texts[number] for number in self.unknown_numbers)
        self.texted_twice = sum(count > 1 for count in texts.values())
        self.texted_in_spite = sum(texts[each.text.to_number] for each in self.preflight.recipients if each.opted_out)
        fired = [each for each in sandbox.deliveries if each.status != "skipped"]
        self.webhooks_fired = len(fired)
        self.webhooks_delivered = sum(each.status == "delivered" for each in fired)
        self.webhooks_failed = sum(each.status == "failed" for each in fired)


@attrs.frozen
class Check:
    """A number, and the numbers it must be the sum of.

    Attributes:
        name: What is counted.
        total: The number.
        parts: The numbers that must add up to it, with what they are.
    """

    name: str
    total: int
    parts: tuple[tuple[int, str], ...]

    @property
    def adds_up(self) -> bool:
        """Whether they do."""
        return self.total == sum(count for count, _ in self.parts)


def checks_of(tally: Tally) -> tuple[Check, ...]:
    """Set the numbers that were counted in different places against each other."""
    flight = tally.preflight
    opted_out = sum(each.opted_out for each in flight.recipients)
    return (
        Check(
            "lines in the list",
            flight.lines,
            (
                (len(flight.recipients), "recipients"),
                (len(flight.invalid), "invalid"),
                (len(flight.duplicates), "duplicate"),
            ),
        ),
        Check(
            "recipients",
            len(flight.recipients),
            ((tally.accepted, "accepted"), (tally.not_sent, "not sent"), (tally.unknown, "unknown")),
        ),
        Check(
            "not sent",
            tally.not_sent,
            ((opted_out, "who had said STOP"), (tally.other_not_sent, "for other reasons")),
        ),
        Check(
            "texts at the sandbox",
            tally.arrived,
            ((tally.accepted, "accepted"), (tally.unknown_arrived, "unknown that did arrive")),
        ),
        Check("texted twice", tally.texted_twice, ((0, "allowed"),)),
        Check("texted despite STOP", tally.texted_in_spite, ((0, "allowed"),)),
        Check("answers handled", tally.answers_heard, ((tally.answers_said, "given"),)),
        Check("opt-outs handled", tally.stops_heard, ((tally.stops_said, "who now said STOP"),)),
        Check("events handled", tally.events_heard, ((tally.webhooks_delivered, "webhooks delivered"),)),
        Check(
            "webhooks fired",
            tally.webhooks_fired,
            ((tally.webhooks_delivered, "delivered"), (tally.webhooks_failed, "failed")),
        ),
    )


# ------------------------------------------------------------------------------------------------------------ inbound


def _handlers(tally: Tally) -> Dispatcher:
    """Make handlers that count. They run on the receiver's thread, and nobody else writes these numbers."""
    from pidj_async.webhooks import Dispatcher, Event, OptedOut, TextReceived  # noqa: PLC0415  see `demo`

    dispatcher = Dispatcher()

    @dispatcher.on(TextReceived)
    async def answer(event: TextReceived) -> None:
        if event.message.strip().upper() != "STOP":
            tally.answers_heard += 1

    @dispatcher.on(OptedOut)
    async def suppress(event: OptedOut) -> None:
        if event.phone_number is not None:
            tally.stops_heard += 1

    @dispatcher.on(Event)
    async def count(_: Event) -> None:
        tally.events_heard += 1

    return dispatcher


@contextmanager
def _receiving(dispatcher: Dispatcher) -> Generator[str]:
    """Receive webhooks over HTTP, on a thread of its own, and say at which URL."""
    import uvicorn  # noqa: PLC0415  see `demo`

    from pidj_async.webhooks import Receiver  # noqa: PLC0415

    secret = secrets.token_urlsafe()
    # With the protocol named: only then does asyncio switch Nagle's algorithm off, which costs 40 ms a webhook.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    app = Receiver(dispatcher, secret=secret, path="/webhooks").asgi()
    server = uvicorn.Server(
        uvicorn.Config(app, lifespan="off", ws="none", access_log=False, log_config=None, timeout_graceful_shutdown=1)
    )
    # Connections are taken from now on, by the listener, and answered as soon as the thread is ready.
    thread = threading.Thread(target=server.run, args=([listener],), name="pidj-demo-receiver", daemon=True)
    thread.start()
    try:
        yield f"http://pidj:{secret}@127.0.0.1:{listener.getsockname()[1]}/webhooks"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


# ----------------------------------------------------------------------------------------------------------- outbound


@attrs.define
class _Retries:
    """The default policy with shorter waits, counting."""

    policy: RetryPolicy
    tally: Tally

    def __call__(self, row: Endpoint[Any], attempt: int, error: PidjError, /) -> Backoff | None:
        backoff = self.policy(row, attempt, error)
        if backoff is not None:
            self.tally.retries += 1
        return backoff


async def _send(sandbox: Sandbox, tally: Tally, stage: _Stage) -> None:
    """Send to everybody, and let some of those who got a text answer."""
    from pidj_async.client import Pidj  # noqa: PLC0415  see `demo`
    from pidj_async.retries import RetryPolicy  # noqa: PLC0415

    recipients = tally.preflight.recipients
    pidj = Pidj(
        base_url=sandbox.base_url,
        account_key=sandbox.account_key,
        token=sandbox.token,
        retry=_Retries(RetryPolicy(initial_delay=0.2), tally),
    )
    started = time.perf_counter()
    _inject(sandbox, 0)
    async with pidj, pidj.messages.send_many((each.text for each in recipients), concurrency=CONCURRENCY) as outcomes:
        async for outcome in outcomes:
            recipient = recipients[outcome.index]
            tally.add(recipient, outcome)
            _inject(sandbox, tally.outcomes)
            if outcome.accepted:
                _react(sandbox, recipient.text.to_number, tally)
            stage.update(tally)
    tally.seconds = time.perf_counter() - started


def _inject(sandbox: Sandbox, outcomes: int) -> None:
    for fault in FAULTS.get(outcomes, ()):
        sandbox.fail_next("messages.send", **fault)


def _react(sandbox: Sandbox, number: str, tally: Tally) -> None:
    if tally.accepted % EVERY_STOP == 0:
        raised = sandbox.receive_text(number, "STOP")
        tally.stops_said += "opt-out" in raised
    elif tally.accepted % EVERY_ANSWER == 0:
        raised = sandbox.receive_text(number, ANSWERS[tally.answers_said % len(ANSWERS)])
        tally.answers_said += "text-received" in raised


# ------------------------------------------------------------------------------------------------------- what is shown


class _Stage:
    """What is told while it happens. Programs are told nothing, and pipes get lines instead of a moving bar."""

    def __init__(self, screen: Console | None) -> None:
        self.screen = screen
        self._bar: Any = None
        self._task: Any = None

    def tell(self, what: str, detail: str = "") -> None:
        """Print a line."""
        if self.screen is not None:
            self.screen.print(f"[bold]{what:<14}[/]{detail}", soft_wrap=True)

    @contextmanager
    def progress(self, total: int) -> Generator[None]:
        """Show a bar while sending."""
        if self.screen is None or not self.screen.is_terminal:
            yield
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415  see `demo`

        columns = (
            TextColumn("[bold]{task.description:<13}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:>5.0f}/s"),
            TextColumn("[red]{task.fields[not_sent]} not sent[/] [yellow]{task.fields[unknown]} unknown[/]"),
        )
        with Progress(*columns, console=self.screen, transient=True) as self._bar:
            self._task = self._bar.add_task("Sending", total=total, rate=0.0, not_sent=0, unknown=0)
            self._started = time.perf_counter()
            yield
        self._bar = None

    def update(self, tally: Tally) -> None:
        """Move the bar."""
        if self._bar is not None:
            rate = tally.outcomes / max(time.perf_counter() - self._started, 1e-3)
            self._bar.update(
                self._task, completed=tally.outcomes, rate=rate, not_sent=tally.not_sent, unknown=tally.unknown
            )


def _tell_preflight(stage: _Stage, preflight: Preflight) -> None:
    from pidj_async.sms import analyze  # noqa: PLC0415  see `demo`

    stage.tell(
        "The list",
        f"{preflight.lines:,} lines: {len(preflight.recipients):,} recipients, {len(preflight.invalid)} invalid, "
        f"{len(preflight.duplicates)} duplicate",
    )
    if stage.screen is None:
        return
    for each in preflight.invalid[:INVALID_SHOWN]:
        stage.screen.print(f"{'':<14}line {each.line}: {each.reason}", style="dim", markup=False, soft_wrap=True)
    if (more := len(preflight.invalid) - INVALID_SHOWN) > 0:
        stage.screen.print(f"{'':<14}and {more} more", style="dim")
    sizes = [analyze(each.text.text_body) for each in preflight.recipients]
    wide = [size for size in sizes if size.encoding != "GSM-7"]
    culprits = sorted({size.forced_by for size in wide if size.forced_by})
    stage.tell(
        "Segments",
        f"{sum(size.segments for size in sizes):,} for {len(sizes):,} texts; {len(wide)} need UCS-2, because of "
        f"{' '.join(culprits)}",
    )


def _show(screen: Console, checks: tuple[Check, ...]) -> None:
    from rich import box  # noqa: PLC0415  see `demo`
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("")
    table.add_column("what was counted")
    table.add_column("count", justify="right")
    table.add_column("is the sum of")
    for check in checks:
        mark = "[green]✓[/]" if check.adds_up else "[bold red]✗[/]"
        parts = " + ".join(f"{count:,} {name}" for count, name in check.parts)
        table.add_row(mark, check.name, f"{check.total:,}", parts)
    screen.print(table)


# -------------------------------------------------------------------------------------------------------- the command


async def _perform(stage: _Stage) -> Tally:
    from pidj_async.cli.recipients import check_recipients, shipped_recipients  # noqa: PLC0415  see `demo`
    from pidj_async.sandbox import GROUP_ID, Sandbox  # noqa: PLC0415

    with shipped_recipients().open(encoding="utf-8", newline="") as lines:
        preflight = check_recipients(lines, template=TEMPLATE, group_id=GROUP_ID)
    _tell_preflight(stage, preflight)
    tally = Tally(preflight)
    # Credentials of its own: nobody's account is involved, whatever the environment holds.
    async with Sandbox(account_key="demo", token=secrets.token_urlsafe()) as sandbox:
        stage.tell("Sandbox", sandbox.base_url)
        for each in preflight.recipients:
            if each.opted_out:
                sandbox.receive_text(each.text.to_number, "STOP")
        stage.tell("Before", f"{len(sandbox.opt_outs)} of the recipients have said STOP; the sandbox will refuse them")
        with _receiving(_handlers(tally)) as url:
            sandbox.webhook_url = url
            stage.tell("Webhooks", f"to a receiver on port {url.rpartition(':')[2].partition('/')[0]}, with a secret")
            with stage.progress(len(preflight.recipients)):
                await _send(sandbox, tally, stage)
            rate = tally.outcomes / tally.seconds
            stage.tell(
                "Sent",
                f"{tally.outcomes:,} requests in {tally.seconds:.1f} s, {rate:,.0f} a second, "
                f"{CONCURRENCY} at a time; {tally.retries} were told to slow down and tried again",
            )
            await sandbox.drain(DRAIN_TIMEOUT)
        tally.compare_with(sandbox)
    stage.tell(
        "Answered",
        f"{tally.answers_said} people answered and {tally.stops_said} said STOP: "
        f"{tally.webhooks_delivered} webhooks over HTTP, into handlers",
    )
    return tally


def _as_data(check: Check) -> dict[str, Any]:
    parts = [{"count": count, "name": name} for count, name in check.parts]
    return {"name": check.name, "count": check.total, "adds_up": check.adds_up, "parts": parts}


def _demo() -> int:
    context = click.get_current_context()
    settings = context.ensure_object(Settings)
    if given := sorted(settings.given - {"as_json"}):
        options = ", ".join("--" + name.replace("_", "-") for name in given)
        msg = f"the demonstration uses no account; leave out {options}"
        raise click.UsageError(msg)

    # Here and in every function, not at the head: `pidj --help` reads this module for one sentence.
    import anyio  # noqa: PLC0415

    from pidj_async.cli.output import console, write_json  # noqa: PLC0415

    screen = None if settings.as_json else console()
    started = time.perf_counter()
    tally = anyio.run(_perform, _Stage(screen))
    checks = checks_of(tally)
    good = all(check.adds_up for check in checks)
    if screen is None:
        write_json({"adds_up": good, "checks": [_as_data(check) for check in checks]})
    else:
        screen.print()
        _show(screen, checks)
        verdict = "[bold green]It adds up[/]" if good else "[bold red]It does not add up[/]"
        screen.print()
        screen.print(f"{verdict}, after {time.perf_counter() - started:.1f} s.")
        if tally.unknown and good:
            screen.print(
                f"Of {tally.unknown} texts nobody on this side knows whether they were sent. They are reported, and "
                "never sent again by themselves."
            )
    return 0 if good else 1


demo = click.Command(
    "demo",
    callback=_demo,
    short_help="Show the whole product in less than a minute.",
    help="Show the whole product in less than a minute: no account, no options.\n\n"
    "A sandbox is started, and 2,000 lines of a list are checked and sent to, 200 at a time. Some requests fail; some "
    "people have said STOP before, some say it now, some answer. Their texts come back over HTTP. In the end "
    "everything is counted on both sides; the exit code is 1 if it does not add up.",
    params=shared_options(before_command=False, connection=False),
)
"""The command."""
