"""The loop that sends a campaign's texts.

One transaction a turn: what has come back since the last one is settled, this worker's lease is prolonged, and new
texts are claimed. So the number of commits depends on how fast the disk is, not on how many texts there are.

The rules:

1. Whatever this worker has claimed and not settled, it counts against its concurrency: in the air, or waiting for its
   settlement to be written. If it dies, so many texts are in doubt and no more.
2. A text whose worker's lease has run out is not sent: somebody else may have called it in doubt.
3. An outcome is reported when it is committed.
4. Nothing is claimed while the pace does not allow it to go out at once: whoever says STOP until then is not texted.
"""

from __future__ import annotations

import logging
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import anyio
import attrs

from pidj_async._masking import mask_phone_number
from pidj_async._unset import UNSET
from pidj_async.campaigns.identity import is_known_dead, this_process
from pidj_async.campaigns.records import Claim, Settlement
from pidj_async.campaigns.states import CampaignState, RecipientState
from pidj_async.campaigns.verdicts import Verdict, verdict_of
from pidj_async.errors import NotFoundError, PidjError, StoreError
from pidj_async.pacing import Feedback
from pidj_async.requests import SendText
from pidj_async.retries import NO_RETRIES
from pidj_async.transports.base import Progress as CallProgress

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from pidj_async.campaigns.ledger import Ledger
    from pidj_async.campaigns.ledger.turns import Opening
    from pidj_async.campaigns.records import CampaignRecord, Turn
    from pidj_async.campaigns.settings import CampaignSettings
    from pidj_async.client import Pidj
    from pidj_async.pacing import Pacer

__all__ = ["CampaignOutcome", "Runner", "RunnerOptions"]

logger = logging.getLogger("pidj_async.campaigns")

_ALL_REFUSED: Final = 50  # so many refusals before the first success say more of the campaign than of the recipients
_AT_ONCE: Final = 1.0  # seconds; what cannot go out so soon is given back
_GATHER: Final = 0.002  # how long a turn waits for company, in seconds: one commit for several texts
_SHORTEST_LOOK: Final = 0.05


@attrs.frozen(kw_only=True)
class CampaignOutcome:
    """What became of one text. It is committed.

    Attributes:
        recipient_id: The recipient's id in the ledger.
        phone_number: E.164.
        state: What the recipient is now: sent, rejected, in doubt, suppressed; or ready again, to be sent later.
        cause: Why, in a word or two; ``None`` if it was sent.
        error: Why, as a sentence, numbers masked.
        seconds: How long the call took.
    """

    recipient_id: int
    phone_number: str = attrs.field(repr=mask_phone_number)
    state: RecipientState
    cause: str | None
    error: str | None
    seconds: float | None


@attrs.frozen(kw_only=True)
class RunnerOptions:
    """How a runner works; times in seconds.

    Attributes:
        concurrency: How many texts it may have claimed and not settled.
        lease: How long after its last turn a worker that cannot be asked is taken for dead.
        poll: How often to look whether others have changed something, while there is nothing to do.
        patience: How long to try to write to a store that does not take it, before giving up.
    """

    concurrency: int
    lease: float = 30.0
    poll: float = 1.0
    patience: float = 30.0


class _Flight:
    """A text that was claimed and is not settled."""

    __slots__ = ("claim", "settlement")

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.settlement: Settlement | None = None


class Runner:
    """Sends what can be sent of one campaign, until nothing is left, or somebody stops it.

    Args:
        ledger: Where the campaign is.
        client: Sends the texts. It is given no retries: what is proven not sent comes back through the ledger.
        campaign: The campaign.
        settings: What it was made with.
        pacer: Says how fast.
        opening: Says when somebody may be texted.
        options: How it works.
        on_outcome: Called for each outcome, once it is committed.
        is_held: Says whether to claim nothing for now, because outcomes are not taken fast enough.
    """

    def __init__(
        self,
        ledger: Ledger,
        client: Pidj,
        campaign: CampaignRecord,
        settings: CampaignSettings,
        *,
        pacer: Pacer,
        opening: Opening,
        options: RunnerOptions,
        on_outcome: Callable[[CampaignOutcome], object] | None = None,
        is_held: Callable[[], bool] = lambda: False,
    ) -> None:
        self.seen: Counter[RecipientState] = Counter()
        self.deferred = 0
        self.next_due: datetime | None = None
        self._ledger = ledger
        self._client = client.with_options(retry=NO_RETRIES)
        self._probe = client.with_options(retry=NO_RETRIES, deadline=10.0)
        self._campaign = campaign
        self._settings = settings
        self._group_id = UNSET if settings.group_id is None else settings.group_id
        self._from_number = UNSET if settings.from_number is None else settings.from_number
        self._pacer = pacer
        self._opening = opening
        self._options = options
        self._on_outcome = on_outcome
        self._is_held = is_held
        self._worker = 0
        self._flying: dict[int, _Flight] = {}
        self._waiting: deque[_Flight] = deque()  # for a sender, and only until one has woken up
        self._senders = 0
        self._launched = anyio.Event()
        self._finished: list[_Flight] = []
        self._signal = anyio.Event()
        self._lease_until = -math.inf
        self._look_at = -math.inf
        self._sweep_at = -math.inf
        self._failing_since: float | None = None
        self._is_suspect = False
        self._stopping = False
        self._over = False
        self._pause_reason: str | None = None
        self._in_doubt = 0
        self._refused_first: int | None = 0  # until the first success
        self._recovering = False
        self._error: PidjError | None = None
        self._flights: TaskGroup | None = None

    @property
    def in_flight(self) -> int:
        """How many texts are claimed and not settled."""
        return len(self._flying) + len(self._finished)

    @property
    def limit(self) -> int:
        """How many texts the pace allows at a time."""
        return min(self._options.concurrency, self._pacer.limit)

    @property
    def waiting_for(self) -> str | None:
        """What everything waits for, in words; ``None`` if it does not."""
        if self._failing_since is not None:
            return "the store, which cannot be written"
        if (held_up := self._pacer.waiting_for) is not None:
            return held_up
        if self.next_due is not None and not self._flying:
            return f"the hours of the next recipients: {self.next_due:%Y-%m-%d %H:%M} UTC"
        return None

    def stop(self) -> None:
        """Claim nothing more, and end when what is in the air has come back."""
        self._stopping = True
        self._signal.set()

    def abort(self) -> None:
        """End at once: what is in the air is cut off. What may have been acted on is in doubt."""
        self.stop()
        if self._flights is not None:
            self._flights.cancel_scope.cancel()

    async def run(self) -> None:
        """Send. If this is cancelled, it ends as `abort` does, and what is known is written first.

        Raises:
            StoreError: The store could not be written for longer than it is tried.
        """
        ended = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(self._work, ended)
            try:
                await ended.wait()
            finally:
                if not ended.is_set():
                    self.abort()
        if self._error is not None:
            raise self._error

    async def _work(self, ended: anyio.Event) -> None:
        with anyio.CancelScope(shield=True):
            try:
                self._worker = await self._ledger.register(identity=this_process(), lease=self._options.lease)
                async with anyio.create_task_group() as flights:
                    self._flights = flights
                    # Aborting cancels what flies, and not the loop that has to write down what is known of it.
                    with anyio.CancelScope(shield=True):
                        while not self._is_over():
                            await self._take_turn(flights)
                        flights.cancel_scope.cancel()  # a probe may still be waiting
            except PidjError as error:
                self._error = error
            finally:
                await self._retire()
                ended.set()

    async def _retire(self) -> None:
        """Say goodbye, so that nobody has to wait for the lease to run out: what is not settled now is in doubt."""
        if self._worker:
            try:
                await self._ledger.retire(self._worker)
            except StoreError as error:
                logger.warning("the ledger does not know that this worker has ended; its lease will run out: %s", error)

    def _is_over(self) -> bool:
        return not self._flying and not self._finished and (self._over or self._stopping)

    # ------------------------------------------------------------------------------------------------------ the turn

    async def _take_turn(self, flights: TaskGroup) -> None:
        self._signal = anyio.Event()  # new before anything is looked at: what happens from here on cuts the pause short
        now = time.monotonic()
        await self._housekeeping(flights, now)
        limit = self._room(now)
        beat = bool(self._flying) and now >= self._beat_at
        if self._finished or limit > 0 or beat:
            finished, self._finished = self._finished, []
            try:
                turn = await self._ledger.turn(
                    self._campaign.number,
                    self._worker,
                    settlements=[flight.settlement for flight in finished if flight.settlement is not None],
                    limit=limit,
                    lease=self._options.lease,
                    opening=self._opening,
                )
            except StoreError as error:
                self._finished = finished + self._finished
                self._is_suspect = True
                await self._store_failed(error, now)
                return
            self._failing_since = None
            self._lease_until = now + turn.lease_left
            self._report(finished, turn)
            if turn.claims:
                self._launch(turn.claims, flights)
            await self._consider(turn, limit, now)
        if not self._is_over():
            await self._wait()

    async def _wait(self) -> None:
        """Wait until there is something to do, and a little for company: one commit for several texts."""
        if not self._finished:
            with anyio.move_on_after(self._pause()):
                await self._signal.wait()
        if 0 < len(self._finished) < len(self._flying):
            await anyio.sleep(_GATHER)

    @property
    def _beat_at(self) -> float:
        """When the ledger has to hear of this worker, even if there is nothing to settle."""
        return self._lease_until - self._options.lease / 2

    def _pause(self) -> float:
        at = min(self._look_at, self._beat_at) if self._flying else self._look_at
        return min(self._options.poll, max(_SHORTEST_LOOK, at - time.monotonic()))

    def _room(self, now: float) -> int:
        """How many texts may be claimed now."""
        if self._stopping or self._over or self._pause_reason is not None or now < self._look_at:
            return 0
        if self._is_held():
            return 0
        # What is finished is settled in the same transaction, so it takes no room any more.
        return max(0, min(self._options.concurrency - len(self._flying), self._pacer.room()))

    async def _consider(self, turn: Turn, limit: int, now: float) -> None:
        """Draw the conclusions from a turn."""
        self.seen[RecipientState.SUPPRESSED] += turn.suppressed
        self.deferred += turn.deferred - turn.woken
        if turn.state is not CampaignState.RUNNING:
            self._over = True
            return
        if turn.ended:
            self.seen[RecipientState.EXPIRED] += await self._ledger.expire(self._campaign.number)
        if limit == 0 or turn.claims:
            return
        # Nothing was ready.
        self.next_due = turn.next_due
        self._look_at = now + self._options.poll
        if turn.next_due is not None:
            due_in = (turn.next_due - datetime.now(UTC)).total_seconds()
            self._look_at = now + min(self._options.poll, max(_SHORTEST_LOOK, due_in))
        if not turn.open and not self._flying and not self._finished:
            self._over = await self._ledger.finish(self._campaign.number, who=this_process())

    async def _housekeeping(self, flights: TaskGroup, now: float) -> None:
        try:
            if self._pause_reason is not None and not self._over:
                await self._ledger.change_state(
                    self._campaign.number, CampaignState.PAUSED, who="the campaign itself", reason=self._pause_reason
                )
                self._over = True
            if self._is_suspect and not self._flying and not self._finished:
                # A turn that failed may have been committed all the same, with claims that nobody here knows of.
                await self._ledger.retire(self._worker)
                self._worker = await self._ledger.register(identity=this_process(), lease=self._options.lease)
                self._is_suspect = False
            if now >= self._sweep_at:
                self._sweep_at = now + self._options.lease / 3
                self.seen[RecipientState.IN_DOUBT] += await self._ledger.sweep(
                    self._campaign.number, is_dead=is_known_dead
                )
        except StoreError as error:
            await self._store_failed(error, now)
        if self._pacer.is_broken and not self._recovering and not (self._stopping or self._over):
            self._recovering = True
            flights.start_soon(self._recover)

    async def _store_failed(self, error: StoreError, now: float) -> None:
        if self._failing_since is None:
            self._failing_since = now
            logger.warning("the ledger cannot be written; nothing is claimed until it can: %s", error)
        elif now - self._failing_since > self._options.patience:
            raise error
        await anyio.sleep(min(1.0, self._options.poll))

    def _report(self, finished: list[_Flight], turn: Turn) -> None:
        refused = set(turn.refused)
        for flight in finished:
            settlement = flight.settlement
            assert settlement is not None  # noqa: S101  that is what makes it finished
            if settlement.id in refused:
                logger.error(
                    "recipient %d had been taken from this worker, and is in doubt; what it knows (%s) is in the log",
                    settlement.id,
                    settlement.state,
                )
                continue
            self.seen[settlement.state] += 1
            if self._on_outcome is not None:
                self._on_outcome(
                    CampaignOutcome(
                        recipient_id=settlement.id,
                        phone_number=flight.claim.phone_number,
                        state=settlement.state,
                        cause=settlement.cause,
                        error=settlement.error,
                        seconds=None if settlement.took is None else settlement.took / 1e6,
                    )
                )

    # ------------------------------------------------------------------------------------------------------ one text

    def _launch(self, claims: Sequence[Claim], flights: TaskGroup) -> None:
        """Give each claim to a sender. Those stay: a new task for each text would cost as much as its call."""
        for claim in claims:
            flight = self._flying[claim.id] = _Flight(claim)
            self._waiting.append(flight)
        while self._senders < len(self._flying):
            self._senders += 1
            flights.start_soon(self._send_on)
        # One event for all of them: there are about as many claims as senders that wait.
        self._launched.set()
        self._launched = anyio.Event()

    async def _send_on(self) -> None:
        """Send one text after another, until everything is cancelled."""
        try:
            while True:
                while self._waiting:
                    await self._fly(self._waiting.popleft())
                await self._launched.wait()
        except BaseException as error:
            while self._waiting:
                self._land(self._waiting.popleft(), verdict_of(error, request_started=False), None)
            raise
        finally:
            self._senders -= 1

    async def _fly(self, flight: _Flight) -> None:
        claim = flight.claim
        progress = CallProgress()
        took: int | None = None
        verdict = _NOT_STARTED
        try:
            verdict, took = await self._attempt(claim, progress)
        except BaseException as error:
            verdict = verdict_of(error, request_started=progress.request_started)
            if not isinstance(error, Exception):
                raise
            # A transport of the caller's may raise anything.
            logger.exception("recipient %d: the transport raised what no transport should", claim.id)
        finally:
            self._land(flight, verdict, took)

    def _land(self, flight: _Flight, verdict: Verdict, took: int | None) -> None:
        claim = flight.claim
        flight.settlement = Settlement(
            id=claim.id,
            fence=claim.fence,
            state=verdict.state,
            cause=verdict.cause,
            error=verdict.error,
            took=took,
        )
        del self._flying[claim.id]
        self._finished.append(flight)
        self._heed(verdict)
        self._signal.set()

    async def _attempt(self, claim: Claim, progress: CallProgress) -> tuple[Verdict, int | None]:
        if not self._pacer.try_acquire() and not await self._wait_for_turn():
            return _NOT_STARTED, None
        feedback, retry_after = Feedback.NONE, None
        try:
            if self._settings.check_consent:
                verdict = await self._consent(claim)
                if verdict is not None:
                    feedback, retry_after = verdict.feedback, verdict.retry_after
                    return verdict, None
            started = time.monotonic()
            if started >= self._lease_until:
                return _NOT_STARTED, None
            error: PidjError | None = None
            try:
                await self._client.execute(self._request(claim), progress=progress)
            except PidjError as raised:
                error = raised
            verdict = verdict_of(error, request_started=progress.request_started)
            feedback, retry_after = verdict.feedback, verdict.retry_after
            return verdict, round((time.monotonic() - started) * 1e6)
        finally:
            self._pacer.release(feedback, retry_after)

    async def _wait_for_turn(self) -> bool:
        """Wait for the pace, but not for long: the claim is from before, and who says STOP meanwhile must count."""
        with anyio.move_on_after(_AT_ONCE):
            await self._pacer.acquire()
            return True
        return False

    def _request(self, claim: Claim) -> SendText:
        return SendText(
            to_number=claim.phone_number,
            text_body=self._settings.text if claim.text_body is None else claim.text_body,
            group_id=self._group_id,
            from_number=self._from_number,
        )

    async def _consent(self, claim: Claim) -> Verdict | None:
        """Ask Pidj whether this contact has consented. Only asking, so whatever goes wrong is harmless."""
        try:
            contact_id = claim.contact_id
            if contact_id is None:
                contact_id = (await self._client.contacts.get_by_phone(claim.phone_number)).id
            consent = await self._client.contacts.check_consent(contact_id, self._settings.group_id or "")
        except NotFoundError:
            return attrs.evolve(_NO_CONSENT, cause="no-contact", error="there is no contact with this number")
        except PidjError as error:
            verdict = verdict_of(error, request_started=False)
            # Not now, or something broke: later. Whatever else would be the same the next time.
            later = verdict.pause is not None or verdict.state in {RecipientState.READY, RecipientState.IN_DOUBT}
            state = RecipientState.READY if later else RecipientState.REJECTED
            return attrs.evolve(verdict, state=state, cause="consent-unknown")
        return _NO_CONSENT if consent.needed else None

    def _heed(self, verdict: Verdict) -> None:
        if verdict.state is RecipientState.IN_DOUBT:
            self._in_doubt += 1
            if self._in_doubt > self._settings.max_in_doubt and self._pause_reason is None:
                self._pause_reason = (
                    f"{self._in_doubt} texts of this run are in doubt, more than max_in_doubt allows "
                    f"({self._settings.max_in_doubt}); the last one: {verdict.error}"
                )
        if verdict.state is RecipientState.SENT:
            self._refused_first = None
        elif verdict.state is RecipientState.REJECTED and self._refused_first is not None:
            self._refused_first += 1
            if self._refused_first == _ALL_REFUSED and self._pause_reason is None:
                self._pause_reason = (
                    f"the first {_ALL_REFUSED} texts of this run were all refused; are the address, the group and the "
                    f"text right? the last one: {verdict.error}"
                )
        if verdict.pause is not None and self._pause_reason is None:
            self._pause_reason = verdict.pause

    async def _recover(self) -> None:
        """Find out whether Pidj is there again, without texting anybody."""
        try:
            await self._pacer.recover(self._probe.check_authorization)
        except PidjError as error:  # it answers, and says no
            self._pause_reason = self._pause_reason or verdict_of(error, request_started=False).pause or str(error)
        finally:
            self._recovering = False
            self._signal.set()


_NOT_STARTED: Final = Verdict(state=RecipientState.READY, cause="not-started", error="it was claimed, and not begun")
_NO_CONSENT: Final = Verdict(state=RecipientState.SUPPRESSED, cause="no-consent", error="they have not consented")
