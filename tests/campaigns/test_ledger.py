"""The ledger: campaigns, whom they are for, and what people decide about them, on both databases."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import attrs
import pytest

from pidj_async.campaigns.ledger import AddResult, Ledger
from pidj_async.campaigns.ledger.table import MAX_PROBLEMS
from pidj_async.campaigns.records import NewRecipient
from pidj_async.campaigns.states import CAMPAIGN_TRANSITIONS, CampaignState, RecipientState
from pidj_async.errors import ConfigurationError, InvalidRequestError
from pidj_async.store import Store

from .ledgers import ANNA, GROUP, SETTINGS, Clock, Desk, number, open_desk, people, settled

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


@attrs.frozen
class Problem:
    """As preflight has them."""

    line: int
    reason: str


# --- campaigns ----------------------------------------------------------------------------------------------------


async def test_a_campaign_is_made_once(store: Store) -> None:
    """Making it again with the same settings finds it, whatever the order of their names."""
    clock, ledger = Clock(store), Ledger(store)
    made = await ledger.create("spring", SETTINGS, who=ANNA)
    clock.advance(60)
    again = await ledger.create("spring", dict(reversed(SETTINGS.items())), who="bert")
    assert made == again == await ledger.find("spring")
    assert (made.state, made.settings, made.created_at) == (CampaignState.LOADING, SETTINGS, clock.time(-60))
    assert ["created"] == [entry.what for entry in await ledger.log(made.number)]


async def test_other_settings_are_another_campaign(store: Store) -> None:
    """Whoever resumes a campaign with another text is told what differs, not shown it."""
    ledger = Ledger(store)
    await ledger.create("spring", SETTINGS, who=ANNA)
    with pytest.raises(ConfigurationError, match=r"other settings \(group_id, rate, text\)") as refused:
        await ledger.create("spring", {"text": "Secret", "ends_at": None, "rate": 5}, who=ANNA)
    assert "Secret" not in str(refused.value)


@pytest.mark.parametrize("name", ["", " ", "x" * 81, "a\nb"])
async def test_a_name_that_is_none_is_refused(store: Store, name: str) -> None:
    """Names stand in tables and commands."""
    with pytest.raises(InvalidRequestError, match="id: must be a short name"):
        await Ledger(store).create(name, SETTINGS, who=ANNA)


async def test_campaigns_are_listed(store: Store) -> None:
    """The oldest first; what is not there is not found."""
    ledger = Ledger(store)
    made = [await ledger.create(name, SETTINGS, who=ANNA) for name in ("spring", "autumn")]
    assert made == await ledger.list()
    assert await ledger.find("winter") is None


@pytest.mark.parametrize("before", CampaignState)
async def test_a_campaign_changes_by_the_table(store: Store, before: CampaignState) -> None:
    """Every change that is in it is made and logged; every other one is refused; staying is no change."""
    ledger = Ledger(store)
    for after in CampaignState:
        record = await ledger.create(f"to {after}", SETTINGS, who=ANNA)
        for step in _ways_to[before]:
            record = await ledger.change_state(record.number, step, who=ANNA)
        log = await ledger.log(record.number)
        if after in CAMPAIGN_TRANSITIONS[before]:
            changed = await ledger.change_state(record.number, after, who="bert", reason="it rains")
            assert (after, "it rains") == (changed.state, changed.reason)
            *others, last = await ledger.log(record.number)
            assert (log, after, "bert", "it rains") == (others, last.what, last.who, last.detail)
        elif after is before:
            assert record == await ledger.change_state(record.number, after, who="bert", reason="it rains")
            assert log == await ledger.log(record.number)
        else:
            with pytest.raises(ConfigurationError, match=f"campaign 'to {after}' is {before} and cannot be {after}"):
                await ledger.change_state(record.number, after, who="bert")
            assert record == await ledger.find(f"to {after}")


_ways_to: dict[CampaignState, list[CampaignState]] = {
    CampaignState.LOADING: [],
    CampaignState.RUNNING: [CampaignState.RUNNING],
    CampaignState.PAUSED: [CampaignState.RUNNING, CampaignState.PAUSED],
    CampaignState.DONE: [CampaignState.RUNNING, CampaignState.DONE],
    CampaignState.CANCELLED: [CampaignState.CANCELLED],
}


async def test_when_a_campaign_began_and_ended(desk: Desk) -> None:
    """It began when it first ran; it has ended only while it is done or cancelled."""
    ledger, clock = desk.ledger, desk.clock
    began = clock.time()
    for state in (CampaignState.PAUSED, CampaignState.RUNNING, CampaignState.DONE):
        clock.advance(10)
        record = await ledger.change_state(desk.campaign, state, who=ANNA)
    assert (began, clock.time()) == (record.started_at, record.ended_at)
    record = await ledger.change_state(desk.campaign, CampaignState.RUNNING, who=ANNA)
    assert (began, None) == (record.started_at, record.ended_at)


async def test_a_campaign_that_is_not_there(store: Store) -> None:
    """Is a mistake, and says so."""
    ledger = Ledger(store)
    with pytest.raises(ConfigurationError, match="there is no campaign 7 in this store"):
        await ledger.status(7)
    with pytest.raises(ConfigurationError, match="there is no campaign 7 in this store"):
        await ledger.turn(7, 1, settlements=[], limit=1, lease=1, opening=lambda *_: None)


async def test_a_campaign_is_done_when_nobody_is_left(desk: Desk) -> None:
    """Whoever is pending, ready or being sent to is left; whoever is in doubt is not."""
    assert not await desk.ledger.finish(desk.campaign, who=ANNA)
    one, two, *others = await desk.claim(5)
    await desk.turn(*(settled(claim) for claim in others), settled(two, RecipientState.IN_DOUBT))
    assert not await desk.ledger.finish(desk.campaign, who=ANNA)
    await desk.put(RecipientState.PENDING, one.id)
    assert not await desk.ledger.finish(desk.campaign, who=ANNA)
    await desk.put(RecipientState.SENT, one.id)
    assert [True, True] == [await desk.ledger.finish(desk.campaign, who=ANNA) for _ in range(2)]
    assert (await desk.ledger.status(desk.campaign)).state is CampaignState.DONE
    assert 1 == len(await desk.logged("done"))


async def test_a_paused_campaign_is_not_done(desk: Desk) -> None:
    """Somebody wants to look at it."""
    await desk.turn(*(settled(claim) for claim in await desk.claim(5)))
    await desk.ledger.change_state(desk.campaign, CampaignState.PAUSED, who=ANNA)
    assert not await desk.ledger.finish(desk.campaign, who=ANNA)


async def test_cancelling_cancels_whoever_waits(store: Store) -> None:
    """More of them than one transaction takes; and what is in the air is not theirs to cancel."""
    desk = await open_desk(store, 2_500)
    later = desk.clock.time(3_600)
    await desk.turn(limit=2, opening=lambda who, _: later if who == number(1) else None)
    await desk.ledger.change_state(desk.campaign, CampaignState.CANCELLED, who=ANNA, reason="wrong text")
    assert {RecipientState.SENDING: 2, RecipientState.CANCELLED: 2_498} == await desk.counts()


async def test_what_comes_back_unsent_after_a_cancel_is_cancelled(desk: Desk) -> None:
    """It is not left ready in a campaign in which nothing is claimed any more."""
    one, two = await desk.claim(2)
    await desk.ledger.change_state(desk.campaign, CampaignState.CANCELLED, who=ANNA)
    turn = await desk.turn(settled(one, RecipientState.READY), settled(two), limit=5)
    assert (CampaignState.CANCELLED, (), False) == (turn.state, turn.claims, turn.open)
    assert {RecipientState.SENT: 1, RecipientState.CANCELLED: 4} == await desk.counts()


async def test_cancelling_half_way_is_finished_by_cancelling_again(desk: Desk) -> None:
    """If the process died after the first transaction."""
    await desk.ledger.change_state(desk.campaign, CampaignState.CANCELLED, who=ANNA)
    await desk.put(RecipientState.READY)
    await desk.ledger.change_state(desk.campaign, CampaignState.CANCELLED, who=ANNA)
    assert {RecipientState.CANCELLED: 5} == await desk.counts()


async def test_nobody_expires_before_the_end(store: Store) -> None:
    """And after it everybody who waits does, by the store's clock."""
    ends_at = Clock(store).time(60)
    desk = await open_desk(store, 2_500, ends_at=ends_at.isoformat())
    (claim,) = await desk.claim(1)
    desk.clock.advance(59)
    assert 0 == await desk.ledger.expire(desk.campaign)
    desk.clock.advance(1)
    assert 2_499 == await desk.ledger.expire(desk.campaign)
    await desk.turn(settled(claim, RecipientState.READY))
    assert 1 == await desk.ledger.expire(desk.campaign)
    assert {RecipientState.EXPIRED: 2_500} == await desk.counts()


async def test_without_an_end_nobody_expires(desk: Desk) -> None:
    """However late it is."""
    desk.clock.advance(timedelta(days=900).total_seconds())
    assert 0 == await desk.ledger.expire(desk.campaign)


# --- recipients ---------------------------------------------------------------------------------------------------


async def test_adding_is_idempotent(store: Store) -> None:
    """The same source again adds nobody, and changes nobody."""
    desk = await open_desk(store, 3)
    (claim,) = await desk.claim(1)
    before = await desk.ledger.recipients(desk.campaign)
    page = [attrs.evolve(one, segments=2) for one in people(4)]
    assert AddResult(added=1, known=3, duplicates=()) == await desk.ledger.add(desk.campaign, page)
    assert before == (await desk.ledger.recipients(desk.campaign))[:3]
    assert claim.phone_number == number(1)


async def test_who_is_named_again_is_a_duplicate(store: Store) -> None:
    """In the same page or a later one, the first line counts."""
    desk = await open_desk(store, 0)
    page = [NewRecipient(phone_number=number(who), line=line, segments=1) for line, who in enumerate([1, 2, 1, 1], 1)]
    assert AddResult(added=2, known=0, duplicates=(3, 4)) == await desk.ledger.add(desk.campaign, page)
    later = [NewRecipient(phone_number=number(who), line=line, segments=1) for line, who in enumerate([2, 3], 5)]
    assert AddResult(added=1, known=0, duplicates=(5,)) == await desk.ledger.add(desk.campaign, later)
    assert [1, 2, 6] == [one.line for one in await desk.ledger.recipients(desk.campaign)]
    assert AddResult(added=0, known=0, duplicates=()) == await desk.ledger.add(desk.campaign, [])


async def test_two_campaigns_may_text_the_same_people(store: Store) -> None:
    """A number is somebody once per campaign."""
    desk = await open_desk(store, 3)
    other = await desk.ledger.create("autumn", SETTINGS, who=ANNA)
    assert AddResult(added=3, known=0, duplicates=()) == await desk.ledger.add(other.number, people(3))
    assert [1, 2, 3] == [one.id for one in await desk.ledger.recipients(desk.campaign)]
    assert [4, 5, 6] == [one.id for one in await desk.ledger.recipients(other.number)]


async def test_all_that_is_known_of_somebody_is_kept(store: Store) -> None:
    """Whatever letters it has."""
    desk = await open_desk(store, 0)
    text = "Zoë 😀 \"quoted\" \\ 'single' \n {braces} \u2028 名前"
    one = NewRecipient(
        phone_number=number(1),
        line=70_000_000_000,
        segments=3,
        text_body=text,
        time_zone="America/Denver",
        contact_id="co:1",
    )
    await desk.ledger.add(desk.campaign, [one])
    (found,) = await desk.ledger.recipients(desk.campaign)
    kept = {field.name: getattr(found, field.name) for field in attrs.fields(NewRecipient)}
    assert attrs.asdict(one) == kept
    assert (RecipientState.READY, 0, None, None) == (found.state, found.attempts, found.claimed_at, found.settled_at)
    (claim,) = await desk.claim(1)
    assert (text, "co:1") == (claim.text_body, claim.contact_id)


@pytest.mark.parametrize("letter", ["\0", "\ud800"])
async def test_a_text_that_cannot_be_kept_is_refused(store: Store, letter: str) -> None:
    """By both databases alike, and nobody of the page is added."""
    desk = await open_desk(store, 0)
    page = [*people(2), NewRecipient(phone_number=number(3), line=3, segments=1, text_body=f"a{letter}b")]
    with pytest.raises(InvalidRequestError, match="in one of the lines 1 to 3"):
        await desk.ledger.add(desk.campaign, page)
    assert {} == await desk.counts()


async def test_nobody_is_added_to_a_cancelled_campaign(desk: Desk) -> None:
    """They would wait for ever."""
    await desk.ledger.change_state(desk.campaign, CampaignState.CANCELLED, who=ANNA)
    with pytest.raises(ConfigurationError, match="campaign 'spring' was cancelled; nobody can be added to it"):
        await desk.ledger.add(desk.campaign, people(9))


async def test_sources_are_counted(desk: Desk) -> None:
    """Lines that are no recipients are in the status; a source that is read again replaces what was noted of it."""
    ledger = desk.ledger
    problems = [Problem(line, f"line {line} \0") for line in range(1, MAX_PROBLEMS + 5)]
    await ledger.begin_source(desk.campaign, "a.csv")
    record = await ledger.find("spring")
    assert record is not None
    assert {"a.csv": False} == {name: source["complete"] for name, source in record.sources.items()}
    await ledger.note_source(desk.campaign, "a.csv", lines=3_000, invalid=1_004, duplicate=9, problems=problems)
    await ledger.note_source(desk.campaign, "b.csv", lines=9, invalid=2, duplicate=1, problems=[])
    await ledger.note_source(
        desk.campaign, "b.csv", lines=9, invalid=3, duplicate=2, problems=[Problem(4, "no number")]
    )
    status = await ledger.status(desk.campaign)
    assert (1_007, 11, 5, 5) == (status.invalid, status.duplicate, status.recipients, status.waiting)
    record = await ledger.find("spring")
    assert record is not None
    first, second = record.sources.values()
    assert {"complete": True, "lines": 9, "invalid": 3, "duplicate": 2, "problems": [[4, "no number"]]} == second
    kept = first["problems"]
    assert isinstance(kept, list)
    assert (MAX_PROBLEMS, [1, "line 1 \ufffd"]) == (len(kept), kept[0])


async def test_recipients_come_in_pages(store: Store) -> None:
    """In order of id, of one campaign, in the wanted states."""
    desk = await open_desk(store, 7)
    other = await desk.ledger.create("autumn", SETTINGS, who=ANNA)
    await desk.ledger.add(other.number, people(3))
    await desk.ledger.add(desk.campaign, people(3, first=8))
    claims = await desk.claim(4)
    await desk.turn(settled(claims[0]), settled(claims[1], RecipientState.IN_DOUBT))

    async def ids(**given: object) -> list[int]:
        return [one.id for one in await desk.ledger.recipients(desk.campaign, **given)]  # type: ignore[arg-type]

    assert [1, 2, 3, 4] == await ids(limit=4)
    assert [5, 6, 7, 11, 12, 13] == await ids(after_id=4)
    assert [5, 6, 7] == await ids(states=[RecipientState.READY], limit=3)
    assert [2] == await ids(states=[RecipientState.IN_DOUBT])
    assert [1, 3, 4] == await ids(states={RecipientState.SENT, RecipientState.SENDING})
    assert [] == await ids(states=[])


# --- what is in doubt ---------------------------------------------------------------------------------------------


async def in_doubt(desk: Desk, count: int) -> list[int]:
    claims = await desk.claim(count)
    await desk.turn(*(settled(claim, RecipientState.IN_DOUBT, cause="http-503") for claim in claims))
    return [claim.id for claim in claims]


@pytest.mark.parametrize("to", [RecipientState.SENT, RecipientState.READY, RecipientState.ABANDONED])
async def test_a_person_decides_about_a_text_in_doubt(desk: Desk, to: RecipientState) -> None:
    """Once for each: who, when, about whom and why is in the log."""
    one, two, _ = await in_doubt(desk, 3)
    desk.clock.advance(60)
    assert 2 == await desk.ledger.resolve(desk.campaign, to, who="bert", recipient_ids=[two, one, 5, 99], note="asked")
    assert 0 == await desk.ledger.resolve(desk.campaign, to, who="bert", recipient_ids=[two, one])
    states = await desk.states()
    assert [to, to, RecipientState.IN_DOUBT] == states[:3]
    assert [("bert", one, f"to {to}: asked"), ("bert", two, f"to {to}: asked")] == await desk.logged("resolved")
    assert desk.clock.time() == (await desk.ledger.log(desk.campaign))[-1].at
    assert desk.clock.time() == (await desk.ledger.recipients(desk.campaign))[0].settled_at


async def test_all_that_is_in_doubt_is_decided(store: Store) -> None:
    """More than one transaction takes, of this campaign alone."""
    desk = await open_desk(store, 4_100)
    other = await desk.ledger.create("autumn", SETTINGS, who=ANNA)
    await desk.ledger.add(other.number, people(1))
    for _ in range(3):
        await in_doubt(desk, 1_400)
    await desk.put(RecipientState.IN_DOUBT, 4_101)
    assert 4_100 == await desk.ledger.resolve(desk.campaign, RecipientState.ABANDONED, who=ANNA)
    assert {RecipientState.ABANDONED: 4_100} == await desk.counts()
    assert 4_100 == len(await desk.logged("resolved"))
    assert 1 == (await desk.ledger.status(other.number)).counts[RecipientState.IN_DOUBT]


async def test_what_is_to_be_sent_again_is_claimed_again(desk: Desk) -> None:
    """By a person's decision alone; and a worker that comes back with the old claim is too late."""
    (claim, *_) = await desk.claim(5)
    await desk.turn(settled(claim, RecipientState.IN_DOUBT))
    await desk.ledger.resolve(desk.campaign, RecipientState.READY, who=ANNA)
    (again,) = await desk.claim(5)
    assert (claim.id, claim.fence + 1, 2) == (again.id, again.fence, again.attempts)
    assert (claim.id,) == (await desk.turn(settled(claim))).refused


@pytest.mark.parametrize(
    "to", sorted(set(RecipientState) - {RecipientState.SENT, RecipientState.READY, RecipientState.ABANDONED})
)
async def test_nothing_else_can_be_decided(desk: Desk, to: RecipientState) -> None:
    """Whatever it would mean."""
    await in_doubt(desk, 1)
    with pytest.raises(ValueError, match=f"sent, ready or abandoned, not to {to}"):
        await desk.ledger.resolve(desk.campaign, to, who=ANNA)
    assert RecipientState.IN_DOUBT == (await desk.states())[0]


async def test_a_cancelled_campaign_sends_nothing_again(desk: Desk) -> None:
    """What is in doubt can be left at that."""
    await in_doubt(desk, 1)
    await desk.ledger.change_state(desk.campaign, CampaignState.CANCELLED, who=ANNA)
    with pytest.raises(ConfigurationError, match="was cancelled, so nothing can be sent again"):
        await desk.ledger.resolve(desk.campaign, RecipientState.READY, who=ANNA)
    assert 1 == await desk.ledger.resolve(desk.campaign, RecipientState.SENT, who=ANNA)


async def test_the_log_takes_what_it_is_given(desk: Desk) -> None:
    """With what PostgreSQL does not keep replaced, on both."""
    await desk.ledger.write_log(desk.campaign, "noted", who="bert", recipient_id=3, detail="a\0b\ud800c")
    assert [("bert", 3, "a\ufffdb?c")] == await desk.logged("noted")


def test_the_names_here_do_not_show_anybody() -> None:
    """A recipient's repr has neither their number nor their text."""
    shown = repr(NewRecipient(phone_number=number(1234), line=1, segments=1, text_body="Your test is positive"))
    assert (False, False) == (number(1234) in shown, "positive" in shown)
    assert GROUP.startswith("gr:")
