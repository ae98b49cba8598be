"""`Campaign`: what a user holds."""

from __future__ import annotations

import getpass
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Final, Self

import anyio
import attrs

from pidj_async._background import Background
from pidj_async.campaigns.hours import make_opening
from pidj_async.campaigns.ledger import Ledger
from pidj_async.campaigns.preflight import load, rehearsal
from pidj_async.campaigns.runner import CampaignOutcome, Runner, RunnerOptions
from pidj_async.campaigns.settings import CampaignSettings
from pidj_async.campaigns.states import FINAL, CampaignState, RecipientState
from pidj_async.errors import ConfigurationError, PidjError
from pidj_async.pacing import Pacer
from pidj_async.suppressions import suppressed_among

if TYPE_CHECKING:
    from types import TracebackType

    from pidj_async.campaigns.preflight import PreflightReport
    from pidj_async.campaigns.records import CampaignRecord, CampaignStatus, LogEntry, RecipientRecord
    from pidj_async.campaigns.sources import Problem, Source
    from pidj_async.client import Pidj
    from pidj_async.store import Store

__all__ = ["Campaign", "Outcomes", "Progress"]

_RATE_WINDOW: Final = 10.0
_PAGE: Final = 1_000
_MOST_WAITING: Final = 1_000
_WATCH_EVERY: Final = 0.5


@attrs.frozen(kw_only=True)
class Progress:
    """How a run is going, this moment.

    Attributes:
        counts: How many recipients are in each state, as far as this process knows.
        rate: Texts a second, over the last ten seconds.
        eta: How many seconds are left at that rate; ``None`` if nobody can say.
        limit: How many texts the pace allows at a time now.
        in_flight: How many are under way.
        waiting_for: What everybody waits for, if anything: hours, a pause that Pidj asked for, Pidj itself.
    """

    counts: dict[RecipientState, int]
    rate: float
    eta: float | None
    limit: int
    in_flight: int
    waiting_for: str | None


class Campaign:
    """One text, or one template, to many people: nobody twice, nobody who said STOP.

    ::

        campaign = Campaign(store, "spring", client=pidj, text="Hi {first_name}", group_id="gr:...")
        report = await campaign.add(people)
        status = await campaign.run()

    All that matters is in the store, so a campaign survives its process: `find` it again and `run` it, and it goes on
    where it was. The promise, and its limits: **at most one text per recipient and campaign**. A text of which nobody
    knows whether it went out is *in doubt*, and stays so until a person decides.

    Args:
        store: Where the ledger is. Several processes may run one campaign, if they share a store.
        id: The campaign's name, at most 80 characters.
        client: Sends the texts. Not needed for looking and deciding.
        text: What to send. ``{first_name}`` is a merge field, ``{first_name|there}`` has a default.
        group_id: The group to text from (``gr:…``); this or `from_number`.
        from_number: The number to text from, E.164.
        hours: When people may be texted, in their own time: ``"8:00-21:00"``, or ``"any"``.
        ends_at: After this nobody is texted any more. With a time zone.
        region: Where numbers without a country code are from, an ISO 3166-1 alpha-2 code; ``None`` takes E.164 only.
        rate: Texts a second, at most; ``None`` for as many as Pidj takes.
        concurrency: How many texts may be under way at a time; in a crash so many can be in doubt.
        check_consent: Ask Pidj before each text whether the contact has consented to be texted by the group.
        max_in_doubt: How many texts of one run may be in doubt before the campaign pauses itself.
        pacer: Shared with whatever else sends; one of its own, if left out.
        who: Who decides here, for the campaign's log. ``user@host``, if left out.

    Raises:
        InvalidRequestError: An argument that Pidj would not take, or a template that cannot be read.
        ConfigurationError: Arguments that do not go together.
    """

    def __init__(
        self,
        store: Store,
        id: str,
        *,
        client: Pidj | None = None,
        text: str,
        group_id: str | None = None,
        from_number: str | None = None,
        hours: str = "8:00-21:00",
        ends_at: datetime | None = None,
        region: str | None = "US",
        rate: float | None = None,
        concurrency: int = 100,
        check_consent: bool = False,
        max_in_doubt: int = 100,
        pacer: Pacer | None = None,
        who: str | None = None,
    ) -> None:
        settings = CampaignSettings(
            text=text,
            group_id=group_id,
            from_number=from_number,
            hours=hours,
            ends_at=ends_at,
            region=region,
            rate=rate,
            concurrency=concurrency,
            check_consent=check_consent,
            max_in_doubt=max_in_doubt,
        )
        self._set_up(store, id, settings=settings, client=client, pacer=pacer, who=who)

    def _set_up(
        self,
        store: Store,
        id: str,
        *,
        settings: CampaignSettings,
        client: Pidj | None,
        pacer: Pacer | None,
        who: str | None,
    ) -> None:
        self._store = store
        self._ledger = Ledger(store)
        self._id = id
        self._settings = settings
        self._client = client
        self._pacer = pacer
        self._who = who or _who()
        self._record: CampaignRecord | None = None
        self._runner: Runner | None = None
        self._stopped = False

    @classmethod
    async def find(
        cls, store: Store, id: str, *, client: Pidj | None = None, pacer: Pacer | None = None, who: str | None = None
    ) -> Self:
        """Find a campaign that is in the store, with the settings that it was made with.

        Args:
            store: See `Campaign`.
            id: See `Campaign`.
            client: See `Campaign`.
            pacer: See `Campaign`.
            who: See `Campaign`.

        Raises:
            ConfigurationError: There is none of this name.
            StoreError: The store could not be read.
        """
        record = await Ledger(store).find(id)
        if record is None:
            msg = f"there is no campaign {id!r} in {store!r}"
            raise ConfigurationError(msg)
        found = cls.__new__(cls)
        settings = CampaignSettings.from_json(record.settings)
        found._set_up(store, id, settings=settings, client=client, pacer=pacer, who=who)  # noqa: SLF001
        found._record = record  # noqa: SLF001
        return found

    def __repr__(self) -> str:
        return f"<Campaign {self._id!r} in {self._store!r}>"

    @property
    def id(self) -> str:
        """The campaign's name."""
        return self._id

    @property
    def settings(self) -> CampaignSettings:
        """What it was made with."""
        return self._settings

    # ---------------------------------------------------------------------------------------------------- recipients

    async def preflight(
        self, source: Source, *, on_problem: Callable[[Problem], object] | None = None
    ) -> PreflightReport:
        """Check recipients, as `add` does, and keep nothing.

        Args:
            source: See `add`.
            on_problem: See `add`.
        """
        async with rehearsal() as sink:
            return await load(source, self._settings, sink=sink, suppressed=self._suppressed, on_problem=on_problem)

    async def add(
        self, source: Source, *, name: str = "recipients", on_problem: Callable[[Problem], object] | None = None
    ) -> PreflightReport:
        """Add recipients. Nobody is texted before `run`.

        Adding the same source again adds nobody twice: whoever is in the campaign already, stays as they are.

        Args:
            source: `from_csv`, `from_json_lines`, `from_contacts`, or any iterable or async iterable of mappings with
                ``phone_number`` and the template's merge fields, or of numbers.
            name: The source's name, for the report. Adding under the same name again replaces what was counted.
            on_problem: Called for each line that nobody can be texted for. The report has the first 1,000 only.

        Returns:
            What was found, line by line where something is wrong.

        Raises:
            ConfigurationError: The campaign is in the store with other settings, or was cancelled.
            StoreError: The store could not be written. What was added is kept; adding again does no harm.
        """
        record = await self._open()
        if record.state is CampaignState.CANCELLED:
            msg = f"campaign {self._id!r} was cancelled; begin another one"
            raise ConfigurationError(msg)
        await self._ledger.begin_source(record.number, name)
        report = await load(
            source,
            self._settings,
            sink=lambda page: self._ledger.add(record.number, page, source=name),
            suppressed=self._suppressed,
            on_problem=on_problem,
        )
        await self._ledger.note_source(
            record.number,
            name,
            lines=report.lines,
            invalid=report.invalid,
            duplicate=report.duplicate,
            problems=report.problems,
        )
        return report

    async def _suppressed(self, numbers: Collection[str]) -> set[str]:
        group_id = self._settings.group_id
        return await self._store.read(
            lambda connection: suppressed_among(connection, numbers, group_id, any_group=group_id is None)
        )

    async def recipients(self, states: Iterable[RecipientState] | None = None) -> AsyncIterator[RecipientRecord]:
        """Go through the recipients, a page at a time, in the order in which they were added.

        Args:
            states: Only those in these states.
        """
        record = await self._open()
        wanted = None if states is None else frozenset(states)
        after = 0
        while page := await self._ledger.recipients(record.number, states=wanted, after_id=after, limit=_PAGE):
            for one in page:
                yield one
            after = page[-1].id

    # ------------------------------------------------------------------------------------------------------- running

    async def run(
        self,
        *,
        concurrency: int | None = None,
        on_outcome: Callable[[CampaignOutcome], object] | None = None,
        on_progress: Callable[[Progress], object] | None = None,
    ) -> CampaignStatus:
        """Send, until nobody is left to be texted, or the campaign is paused, or stopped.

        It can be called again after any kind of end, a crash included; a campaign that was paused goes on. Recipients
        whose hours are closed are waited for.

        Args:
            concurrency: Instead of what the campaign was made with.
            on_outcome: Called for each outcome, once it is committed. It must not block.
            on_progress: Called about twice a second.

        Returns:
            How far the campaign is.

        Raises:
            ConfigurationError: There is no client, nobody was added, or the campaign was cancelled.
            StoreError: The ledger cannot be written. What was under way will be in doubt.
        """
        return await self._run(concurrency, on_outcome, on_progress, lambda: False)

    async def _run(
        self,
        concurrency: int | None,
        on_outcome: Callable[[CampaignOutcome], object] | None,
        on_progress: Callable[[Progress], object] | None,
        is_held: Callable[[], bool],
    ) -> CampaignStatus:
        runner, before = await self._begin(concurrency, on_outcome, is_held)
        problem: PidjError | None = None
        try:
            async with anyio.create_task_group() as group:
                if on_progress is not None:
                    group.start_soon(_watch, runner, before, on_progress)
                try:
                    await runner.run()
                except PidjError as error:  # not in a group of one
                    problem = error
                group.cancel_scope.cancel()
        finally:
            self._runner = None
        if problem is not None:
            raise problem
        return await self.status()

    def outcomes(self, *, concurrency: int | None = None) -> Outcomes:
        """Run the campaign, and go through the outcomes as they are committed.

        ::

            async with campaign.outcomes() as outcomes:
                async for outcome in outcomes:
                    ...

        Leaving early stops the campaign as `stop` does. Outcomes that nobody took are in the ledger. While a thousand
        outcomes wait to be taken, nothing more is claimed.

        Args:
            concurrency: See `run`.
        """
        return Outcomes(self, concurrency)

    def stop(self) -> None:
        """Claim nothing more; `run` returns when what is in the air has come back. For signal handlers."""
        self._stopped = True
        if self._runner is not None:
            self._runner.stop()

    def abort(self) -> None:
        """End `run` at once. What was under way and may have been acted on is in doubt."""
        self._stopped = True
        if self._runner is not None:
            self._runner.abort()

    async def _begin(
        self,
        concurrency: int | None,
        on_outcome: Callable[[CampaignOutcome], object] | None,
        is_held: Callable[[], bool],
    ) -> tuple[Runner, CampaignStatus]:
        if self._client is None:
            msg = f"campaign {self._id!r} has no client to send with; pass client=Pidj(...)"
            raise ConfigurationError(msg)
        if self._runner is not None:
            msg = f"campaign {self._id!r} is running already"
            raise ConfigurationError(msg)
        record = await self._open()
        if record.state is CampaignState.CANCELLED:
            msg = f"campaign {self._id!r} was cancelled, which is final; begin another one"
            raise ConfigurationError(msg)
        unfinished = [name for name, source in record.sources.items() if not source.get("complete")]
        if unfinished or not record.sources:
            what = f"{', '.join(unfinished)} was not added to its end" if unfinished else "it has no recipients"
            msg = f"campaign {self._id!r} cannot run: {what}; add the recipients (again: nobody is added twice)"
            raise ConfigurationError(msg)
        status = await self._ledger.status(record.number)
        self._record = await self._ledger.change_state(record.number, CampaignState.RUNNING, who=self._who)
        concurrency = self._settings.concurrency if concurrency is None else concurrency
        pacer = self._pacer or Pacer(concurrency=concurrency, rate=self._settings.rate)
        self._runner = Runner(
            self._ledger,
            self._client,
            self._record,
            self._settings,
            pacer=pacer,
            opening=make_opening(self._settings.hours),
            options=RunnerOptions(concurrency=concurrency),
            on_outcome=on_outcome,
            is_held=is_held,
        )
        if self._stopped:
            self._runner.stop()
        return self._runner, status

    # --------------------------------------------------------------------------------------------- looking, deciding

    async def status(self) -> CampaignStatus:
        """Return how far the campaign is."""
        return await self._ledger.status((await self._open()).number)

    async def log(self) -> list[LogEntry]:
        """Return what happened to the campaign, and who decided it."""
        return await self._ledger.log((await self._open()).number)

    async def pause(self, reason: str | None = None) -> None:
        """Let nobody claim more, in whatever process; what is in the air comes back. `run` ends the pause.

        Args:
            reason: Why, for whoever asks.
        """
        await self._change(CampaignState.PAUSED, reason)

    async def cancel(self, reason: str | None = None) -> None:
        """End the campaign for good: whoever was not texted is cancelled. What is in the air comes back.

        Args:
            reason: Why, for whoever asks.
        """
        await self._change(CampaignState.CANCELLED, reason)

    async def _change(self, state: CampaignState, reason: str | None) -> None:
        record = await self._open()
        self._record = await self._ledger.change_state(record.number, state, who=self._who, reason=reason)

    async def resolve(
        self, to: RecipientState, *, recipient_ids: Collection[int] | None = None, note: str | None = None
    ) -> int:
        """Decide about texts in doubt. Who did, and when, is in the log.

        Args:
            to: `SENT`: it is known to have arrived. `ABANDONED`: it is left at that. `READY`: **send it again**, even
                though the first one may have arrived.
            recipient_ids: About these; about all that are in doubt, if left out.
            note: Why.

        Returns:
            How many were decided.

        Raises:
            ValueError: `to` is none of the three.
        """
        record = await self._open()
        return await self._ledger.resolve(record.number, to, who=self._who, recipient_ids=recipient_ids, note=note)

    async def _open(self) -> CampaignRecord:
        if self._record is None:
            self._record = await self._ledger.create(self._id, self._settings.to_json(), who=self._who)
        else:
            self._record = await self._ledger.find(self._id) or self._record
        return self._record


class Outcomes(AsyncIterator[CampaignOutcome]):
    """The outcomes of a campaign that runs while they are taken. See `Campaign.outcomes`.

    Attributes:
        status: How far the campaign was when it ended; ``None`` before.
    """

    def __init__(self, campaign: Campaign, concurrency: int | None) -> None:
        self.status: CampaignStatus | None = None
        self._campaign = campaign
        self._concurrency = concurrency
        self._waiting: deque[CampaignOutcome] = deque()
        self._news = anyio.Event()
        self._background: Background | None = None
        self._ended = False
        self._problem: Exception | None = None

    def __aiter__(self) -> Outcomes:
        return self

    async def __anext__(self) -> CampaignOutcome:
        if self._background is None and not self._ended:
            self._background = Background(self._work, f"pidj campaign {self._campaign.id}")
        while not self._waiting:
            if self._ended:
                problem, self._problem = self._problem, None
                if problem is not None:
                    raise problem
                raise StopAsyncIteration
            self._news = anyio.Event()
            await self._news.wait()
        return self._waiting.popleft()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop the campaign, and wait for what is in the air."""
        if self._background is not None and not self._ended:
            self._campaign.stop()
            await self._background.wait()
        self._ended = True

    async def _work(self) -> None:
        try:
            self.status = await self._campaign._run(  # noqa: SLF001  one of the two classes of this module
                self._concurrency, self._take, None, lambda: len(self._waiting) > _MOST_WAITING
            )
        except Exception as error:  # noqa: BLE001  raised to whoever takes the outcomes
            self._problem = error
        finally:
            self._ended = True
            self._news.set()

    def _take(self, outcome: CampaignOutcome) -> None:
        self._waiting.append(outcome)
        self._news.set()


async def _watch(runner: Runner, before: CampaignStatus, on_progress: Callable[[Progress], object]) -> None:
    """Tell how it is going, about twice a second."""
    history: deque[tuple[float, int]] = deque()
    while True:
        counts = {state: before.counts[state] + runner.seen[state] for state in RecipientState if state in FINAL}
        counts[RecipientState.IN_DOUBT] = before.counts[RecipientState.IN_DOUBT] + runner.seen[RecipientState.IN_DOUBT]
        counts[RecipientState.PENDING] = max(0, before.counts[RecipientState.PENDING] + runner.deferred)
        counts[RecipientState.SENDING] = runner.in_flight
        ready = counts[RecipientState.READY] = max(0, before.recipients - sum(counts.values()))
        now = anyio.current_time()
        history.append((now, runner.seen[RecipientState.SENT] + runner.seen[RecipientState.REJECTED]))
        while now - history[0][0] > _RATE_WINDOW:
            history.popleft()
        elapsed = now - history[0][0]
        rate = (history[-1][1] - history[0][1]) / elapsed if elapsed > 0 else 0.0
        on_progress(
            Progress(
                counts={state: counts[state] for state in RecipientState},
                rate=rate,
                eta=(ready + runner.in_flight) / rate if rate > 0 and not counts[RecipientState.PENDING] else None,
                limit=runner.limit,
                in_flight=runner.in_flight,
                waiting_for=runner.waiting_for,
            )
        )
        await anyio.sleep(_WATCH_EVERY)


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user need not have a name
        user = "somebody"
    return f"{user}@{socket.gethostname()}"
