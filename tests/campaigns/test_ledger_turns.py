"""A worker's turn: what it may claim, what it may settle, and what becomes of the claims of one that died."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pidj_async.campaigns.ledger import Turn
from pidj_async.campaigns.ledger.changes import SETTLED, change
from pidj_async.campaigns.records import Settlement
from pidj_async.campaigns.states import TRANSITIONS, CampaignState, RecipientState
from pidj_async.errors import ConfigurationError
from pidj_async.store import Store
from pidj_async.suppressions import Suppressions

from .ledgers import ANNA, GROUP, LEASE, SETTINGS, Desk, all_settled, number, open_desk, people, row, settled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    """An empty store."""
    async with Store(store_url) as store:
        yield store


@pytest.fixture
async def desk(store: Store) -> Desk:
    """A campaign of five that runs, and a worker."""
    return await open_desk(store)


# --- claiming -----------------------------------------------------------------------------------------------------


async def test_who_is_claimed_is_claimed_once(desk: Desk) -> None:
    """In order of id, as many as wanted, with a fence; nobody gets them a second time."""
    claims = await desk.claim(3)
    assert [(1, number(1), 1, 1), (2, number(2), 1, 1), (3, number(3), 1, 1)] == [
        (one.id, one.phone_number, one.fence, one.attempts) for one in claims
    ]
    assert [4, 5] == [one.id for one in await desk.claim(3)]
    assert () == await desk.claim(3)
    assert [RecipientState.SENDING] * 5 == await desk.states()
    found = await desk.store.read(row)
    assert (desk.worker, desk.clock.now, None) == (found["worker"], found["claimed_at"], found["settled_at"])


async def test_a_claim_is_committed_when_it_is_given(desk: Desk, store_url: str) -> None:
    """Another connection sees it, so a crash of this process would find it there."""
    claims = await desk.claim(2)
    async with Store(store_url) as other:
        states = await other.read(lambda connection: [row(connection, claim.id)["state"] for claim in claims])
    assert ["sending", "sending"] == states


@pytest.mark.parametrize("state", sorted(set(RecipientState) - {RecipientState.READY, RecipientState.PENDING}))
async def test_only_who_is_ready_is_claimed(desk: Desk, state: RecipientState) -> None:
    """Whatever else a row is, it is left alone."""
    await desk.put(state)
    assert [2, 3, 4, 5] == [claim.id for claim in await desk.claim(5)]
    assert state is (await desk.states())[0]


@pytest.mark.parametrize("state", sorted(set(CampaignState) - {CampaignState.RUNNING}))
async def test_only_a_running_campaign_is_claimed_from(desk: Desk, state: CampaignState) -> None:
    """And what is under way is settled all the same."""
    if state is CampaignState.LOADING:
        other = await desk.ledger.create("autumn", SETTINGS, who=ANNA)
        await desk.ledger.add(other.number, people(2))
        turn = await desk.ledger.turn(
            other.number, desk.worker, settlements=[], limit=9, lease=LEASE, opening=lambda *_: None
        )
        assert ((), state, True) == (turn.claims, turn.state, turn.open)
        return
    (claim,) = await desk.claim(1)
    await desk.ledger.change_state(desk.campaign, state, who=ANNA, reason="it rains")
    turn = await desk.turn(settled(claim), limit=9)
    assert ((), (), state, "it rains") == (turn.claims, turn.refused, turn.state, turn.reason)
    assert state is not CampaignState.CANCELLED or not turn.open
    assert RecipientState.SENT is (await desk.states())[0]


async def test_nobody_is_claimed_after_the_end(store: Store) -> None:
    """The end is by the store's clock; what is under way is settled."""
    desk = await open_desk(store, ends_at="2027-01-15T08:00:10+00:00")
    (claim,) = await desk.claim(1)
    desk.clock.advance(10)
    turn = await desk.turn(settled(claim), limit=9)
    assert ((), True, True) == (turn.claims, turn.ended, turn.open)
    assert {RecipientState.SENT: 1, RecipientState.READY: 4} == await desk.counts()


async def test_two_workers_share_nobody(desk: Desk) -> None:
    """And neither settles for the other."""
    other = await desk.ledger.register(identity="there", lease=LEASE)
    ours, theirs = await desk.claim(2), await desk.claim(9, worker=other)
    assert ([1, 2], [3, 4, 5]) == ([one.id for one in ours], [one.id for one in theirs])
    assert (3, 4, 5) == (await desk.turn(*all_settled(theirs))).refused
    assert () == (await desk.turn(*all_settled(theirs), worker=other)).refused


async def test_campaigns_do_not_mix(desk: Desk) -> None:
    """A worker of one campaign gets nobody of another's."""
    other = await desk.ledger.create("autumn", SETTINGS, who=ANNA)
    await desk.ledger.add(other.number, people(2))
    assert [1, 2, 3, 4, 5] == [claim.id for claim in await desk.claim(9)]
    assert 2 == (await desk.ledger.status(other.number)).counts[RecipientState.READY]


async def test_a_turn_says_what_is_left(desk: Desk) -> None:
    """If nothing was claimed: whether anybody is, and who is due when."""
    soon = desk.clock.time(60)
    turn = await desk.turn(limit=9, opening=lambda *_: soon)
    assert ((), 5, soon, True) == (turn.claims, turn.deferred, turn.next_due, turn.open)
    desk.clock.advance(60)
    turn = await desk.turn(limit=9)
    assert (5, 5) == (turn.woken, len(turn.claims))
    assert (None, True) == ((left := await desk.turn(limit=9)).next_due, left.open)
    left = await desk.turn(*all_settled(turn.claims), limit=9)
    assert ((), None, False) == (left.claims, left.next_due, left.open)


async def test_a_turn_of_nobody(desk: Desk) -> None:
    """A worker that does not exist is a mistake."""
    with pytest.raises(ConfigurationError, match=f"no campaign {desk.campaign}, or no worker 99"):
        await desk.turn(limit=1, worker=99)


# --- who must not be texted, and when -----------------------------------------------------------------------------


async def test_who_wants_no_texts_is_not_claimed(desk: Desk) -> None:
    """Neither for the account nor for this group; others are claimed in their place."""
    suppressions = Suppressions(desk.store)
    await suppressions.add(number(1))
    await suppressions.add(number(2), GROUP)
    await suppressions.add(number(3), "gr:other")
    await suppressions.add(number(4))
    await suppressions.remove(number(4))
    turn = await desk.turn(limit=3)
    assert ([3, 4, 5], 2) == ([claim.id for claim in turn.claims], turn.suppressed)
    first, second, *_ = await desk.ledger.recipients(desk.campaign)
    assert [(RecipientState.SUPPRESSED, "opt-out", desk.clock.time())] * 2 == [
        (one.state, one.cause, one.settled_at) for one in (first, second)
    ]


async def test_who_texts_from_a_number_heeds_every_group(store: Store) -> None:
    """It is not known whose group the number is."""
    desk = await open_desk(store, group_id=None, from_number="+18885550000")
    await Suppressions(store).add(number(1), "gr:some")
    assert [2, 3, 4, 5] == [claim.id for claim in await desk.claim(9)]


async def test_who_opts_out_while_they_wait_for_their_hours(desk: Desk) -> None:
    """Is not texted when they come."""
    soon = desk.clock.time(60)
    await desk.turn(limit=9, opening=lambda *_: soon)
    await Suppressions(desk.store).add(number(2))
    desk.clock.advance(60)
    assert [1, 3, 4, 5] == [claim.id for claim in await desk.claim(9)]


async def test_whose_hours_have_not_come_waits(store: Store) -> None:
    """By number and time zone; others are claimed in their place, in the same turn."""
    desk = await open_desk(store, 500)
    asked: list[tuple[str, str | None]] = []
    later = desk.clock.time(7_200)

    def opening(phone_number: str, time_zone: str | None) -> object:
        asked.append((phone_number, time_zone))
        return later if int(phone_number[-4:]) <= 400 else None

    turn = await desk.turn(limit=3, opening=opening)
    assert ([401, 402, 403], 400) == ([claim.id for claim in turn.claims], turn.deferred)
    assert [(number(index), None) for index in range(1, 404)] == asked
    first = (await desk.ledger.recipients(desk.campaign))[0]
    assert (RecipientState.PENDING, later, None) == (first.state, first.due_at, first.settled_at)
    assert later == (await desk.ledger.status(desk.campaign)).next_due


async def test_a_turn_looks_at_some_thousand_at_most(store: Store) -> None:
    """At night a whole campaign is put off, but not in one transaction."""
    desk = await open_desk(store, 5_000)
    later = desk.clock.time(7_200)
    turns = [await desk.turn(limit=64, opening=lambda *_: later) for _ in range(3)]
    assert [2_000, 2_000, 1_000] == [turn.deferred for turn in turns]
    desk.clock.advance(7_200)
    assert [2_000, 2_000, 1_000, 0] == [(await desk.turn(limit=1)).woken for _ in range(4)]


async def test_who_is_not_due_is_not_woken(desk: Desk) -> None:
    """Each has their own time."""
    times = {number(index): desk.clock.time(60 * index) for index in range(1, 6)}
    await desk.turn(limit=9, opening=lambda who, _: times[who])
    desk.clock.advance(120)
    turn = await desk.turn(limit=1)
    assert (2, [1]) == (turn.woken, [claim.id for claim in turn.claims])


# --- settling -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", sorted(SETTLED))
async def test_what_can_become_of_a_claim(desk: Desk, state: RecipientState) -> None:
    """Whatever the table of states has, with when and why."""
    (claim,) = await desk.claim(1)
    desk.clock.advance(2)
    turn = await desk.turn(settled(claim, state, cause="http-503", error="Pidj said: \0 no", took=51_234))
    assert () == turn.refused
    first = (await desk.ledger.recipients(desk.campaign))[0]
    expected = (state, "http-503", "Pidj said: \ufffd no", 51_234, desk.clock.time(), desk.clock.time(-2))
    assert expected == (first.state, first.cause, first.error, first.took, first.settled_at, first.claimed_at)


def test_the_states_that_a_claim_can_come_to() -> None:
    """Are those of the table."""
    assert TRANSITIONS[RecipientState.SENDING] == SETTLED


@pytest.mark.parametrize("state", sorted(set(RecipientState) - SETTLED))
async def test_what_can_never_become_of_a_claim(desk: Desk, state: RecipientState) -> None:
    """Raises, and nothing else of that turn is done either."""
    one, two = await desk.claim(2)
    with pytest.raises(ValueError, match=f"a recipient cannot go from sending to {state}"):
        await desk.turn(settled(one), settled(two, state), limit=2)
    assert {RecipientState.SENDING: 2, RecipientState.READY: 3} == await desk.counts()


async def test_two_settlements_of_one_claim(desk: Desk) -> None:
    """Are a bug of whoever gives them, and refused before anything is written."""
    (claim,) = await desk.claim(1)
    with pytest.raises(ValueError, match="two settlements of one claim"):
        await desk.turn(settled(claim), settled(claim, RecipientState.READY))
    assert RecipientState.SENDING is (await desk.states())[0]


async def test_settling_again_does_no_harm(desk: Desk) -> None:
    """Whoever does not know whether a turn was committed gives its settlements once more."""
    claims = await desk.claim(2)
    given = [settled(claims[0], took=1), settled(claims[1], RecipientState.READY)]
    first = await desk.turn(*given)
    before = await desk.ledger.recipients(desk.campaign)
    desk.clock.advance(5)
    again = await desk.turn(*given)
    assert ((), ()) == (first.refused, again.refused)
    assert before == await desk.ledger.recipients(desk.campaign)
    assert [] == await desk.logged("late")


async def test_what_comes_too_late_is_refused_and_logged(desk: Desk) -> None:
    """The claim was taken away: what it would have been is in the log, for whoever decides."""
    claims = await desk.claim(2)
    desk.clock.advance(LEASE)
    assert 2 == await desk.ledger.sweep(is_dead=lambda _: False)
    turn = await desk.turn(
        settled(claims[0]), settled(claims[1], RecipientState.REJECTED, cause="http-400", error="no")
    )
    assert (1, 2) == turn.refused
    assert [("here", 1, "sent"), ("here", 2, "rejected: http-400: no")] == await desk.logged("late")
    assert [RecipientState.IN_DOUBT] * 2 == (await desk.states())[:2]


@pytest.mark.parametrize("wrong", ["fence", "worker", "row", "state"])
async def test_a_settlement_of_another_claim_is_refused(desk: Desk, wrong: str) -> None:
    """Fence, worker, row and state must all be right."""
    (claim,) = await desk.claim(1)
    worker = await desk.ledger.register(identity="there", lease=LEASE) if wrong == "worker" else desk.worker
    given = {
        "fence": Settlement(id=claim.id, fence=claim.fence - 1, state=RecipientState.SENT),
        "row": Settlement(id=4, fence=claim.fence, state=RecipientState.SENT),
    }.get(wrong, settled(claim))
    if wrong == "state":
        await desk.put(RecipientState.IN_DOUBT)
    before = await desk.ledger.recipients(desk.campaign)
    assert (given.id,) == (await desk.turn(given, worker=worker)).refused
    assert before == await desk.ledger.recipients(desk.campaign)


async def test_the_good_ones_are_settled_beside_the_late_ones(desk: Desk) -> None:
    """One stale fence does not hold up the others."""
    claims = await desk.claim(5)
    await desk.put(RecipientState.IN_DOUBT, 3)
    assert (3,) == (await desk.turn(*all_settled(claims))).refused
    assert {RecipientState.SENT: 4, RecipientState.IN_DOUBT: 1} == await desk.counts()


async def test_what_was_not_sent_is_claimed_again(desk: Desk) -> None:
    """With a new fence; why it came back is forgotten then."""
    (claim,) = await desk.claim(1)
    turn = await desk.turn(settled(claim, RecipientState.READY, cause="refused", took=5), limit=1)
    (again,) = turn.claims
    assert (claim.id, 2, 2) == (again.id, again.fence, again.attempts)
    assert (1,) == (await desk.turn(settled(claim))).refused
    found = await desk.store.read(row)
    assert ("sending", None, None, None) == (found["state"], found["cause"], found["took"], found["settled_at"])


async def test_a_long_cause_is_cut(desk: Desk) -> None:
    """On both databases alike."""
    (claim,) = await desk.claim(1)
    await desk.turn(settled(claim, RecipientState.REJECTED, cause="c" * 99, error="e" * 9_999))
    found = await desk.store.read(row)
    assert (40, 2_000) == (len(found["cause"]), len(found["error"]))


def test_a_change_that_is_not_in_the_table_cannot_be_written() -> None:
    """Every statement that changes a state is made by one function, which looks it up."""
    for before, after in TRANSITIONS.items():
        for state in RecipientState:
            if state in after:
                assert f"'{state}'" in str(change(before, {state}))
            else:
                with pytest.raises(ValueError, match=f"cannot go from {before} to {state}"):
                    change(before, {state})


# --- leases -------------------------------------------------------------------------------------------------------


async def test_a_lease_is_prolonged_before_it_runs_out(desk: Desk) -> None:
    """But only once a third of it has passed: that saves a write in most turns."""
    began = desk.clock.now
    assert LEASE == (await desk.turn()).lease_left
    desk.clock.advance(LEASE / 3)
    assert LEASE * 2 / 3 == (await desk.turn()).lease_left
    assert began + LEASE * 1e6 == await desk.expires_at()
    desk.clock.advance(0.001)
    assert LEASE == (await desk.turn()).lease_left
    assert desk.clock.now + LEASE * 1e6 == await desk.expires_at()


async def test_who_is_not_heard_of_loses_its_claims(desk: Desk) -> None:
    """They are in doubt, at once when the lease ends, and not a moment earlier."""
    claims = await desk.claim(2)
    desk.clock.advance(LEASE - 1e-6)
    assert 0 == await desk.ledger.sweep(is_dead=lambda _: False)
    desk.clock.advance(1e-6)
    assert [2, 0] == [await desk.ledger.sweep(is_dead=lambda _: False) for _ in range(2)]
    first = (await desk.ledger.recipients(desk.campaign))[0]
    assert (RecipientState.IN_DOUBT, "worker-lost", desk.clock.time()) == (first.state, first.cause, first.settled_at)
    assert [("here", None, "2 texts that it had claimed are in doubt")] == await desk.logged("swept")
    assert claims[0].fence + 1 == (await desk.store.read(row))["fence"]


async def test_who_is_known_to_be_dead_loses_its_claims_at_once(desk: Desk) -> None:
    """Others of the same campaign keep theirs."""
    there = await desk.ledger.register(identity="there", lease=LEASE)
    await desk.claim(1)
    await desk.claim(3, worker=there)
    assert 3 == await desk.ledger.sweep(is_dead=lambda identity: identity == "there")
    assert {RecipientState.SENDING: 1, RecipientState.IN_DOUBT: 3, RecipientState.READY: 1} == await desk.counts()
    assert desk.clock.now + LEASE * 1e6 == await desk.expires_at()


async def test_a_sweep_of_one_campaign(desk: Desk) -> None:
    """Looks only at who has something of it; but a worker is dead for all of them."""
    other = await desk.ledger.create("autumn", SETTINGS, who=ANNA)
    await desk.claim(2)
    assert 0 == await desk.ledger.sweep(other.number, is_dead=lambda _: True)
    assert 2 == await desk.ledger.sweep(desk.campaign, is_dead=lambda _: True)


async def test_who_was_thought_dead_may_go_on(desk: Desk) -> None:
    """With new claims; what it had before is no longer its own."""
    (lost,) = await desk.claim(1)
    desk.clock.advance(LEASE)
    await desk.ledger.sweep(is_dead=lambda _: False)
    turn = await desk.turn(settled(lost), limit=1)
    assert ((lost.id,), [2], LEASE) == (turn.refused, [claim.id for claim in turn.claims], turn.lease_left)
    assert 0 == await desk.ledger.sweep(is_dead=lambda _: False)


async def test_who_leaves_orderly_leaves_nothing(desk: Desk) -> None:
    """Its time is over at once; what it has not settled is in doubt."""
    one, _ = await desk.claim(2)
    await desk.turn(settled(one))
    await desk.ledger.retire(desk.worker)
    assert {RecipientState.SENT: 1, RecipientState.IN_DOUBT: 1, RecipientState.READY: 3} == await desk.counts()
    assert desk.clock.now == await desk.expires_at()
    assert 0 == await desk.ledger.sweep(is_dead=lambda _: False)


async def test_a_turn_is_a_value(desk: Desk) -> None:
    """What it brings can be compared, and shows nobody."""
    turn = await desk.turn(limit=1)
    expected = Turn(
        claims=turn.claims, refused=(), state=CampaignState.RUNNING, reason=None, ended=False, lease_left=LEASE
    )
    assert expected == turn
    assert number(1) not in repr(turn)
