"""Campaigns: everybody once, nobody twice, nobody who said STOP, whatever happens on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from pidj_async.campaigns import Campaign, CampaignState, Progress, RecipientState
from pidj_async.errors import ConfigurationError, NotSentError, StoreError
from pidj_async.pacing import Pacer
from pidj_async.store import Store
from pidj_async.suppressions import Suppressions

from .people import GROUP, Post, campaign_of, counts_of, lost, number, numbers, people, refused, reply

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    async with Store(store_url) as opened:
        yield opened


def once(count: int) -> Counter[str]:
    return Counter(numbers(count))


# --- everybody once -----------------------------------------------------------------------------------------------


async def test_everybody_is_texted_once(store: Store) -> None:
    """Two hundred and fifty people: as many texts, as many rows that say so, and the campaign is done."""
    post = Post()
    campaign = await campaign_of(store, post, 250)

    status = await campaign.run(concurrency=20)

    assert once(250) == post.texts
    assert ({"sent": 250}, CampaignState.DONE) == (counts_of(status.counts), status.state)


async def test_running_again_texts_nobody(store: Store) -> None:
    """A campaign that is done stays done."""
    post = Post()
    campaign = await campaign_of(store, post, 30)
    await campaign.run()

    status = await (await Campaign.find(store, "spring", client=post.client())).run()

    assert (once(30), CampaignState.DONE) == (post.texts, status.state)


async def test_adding_the_same_people_again_adds_nobody(store: Store) -> None:
    """Those who are in the campaign already are not texted again; the new one is."""
    post = Post()
    campaign = await campaign_of(store, post, 30)
    await campaign.run()
    report = await campaign.add(people(31))
    status = await campaign.run()

    assert once(31) == post.texts
    assert (31, {"sent": 31}) == (report.lines, counts_of(status.counts))


async def test_lines_are_counted_beside_recipients(store: Store) -> None:
    """A number that cannot be, and one that comes again, are lines and not recipients."""
    post = Post()
    campaign = await campaign_of(store, post, [*people(3), {"phone_number": "555"}, {"phone_number": number(1)}])
    status = await campaign.run()

    assert ({"sent": 3}, 1, 1) == (counts_of(status.counts), status.invalid, status.duplicate)


async def test_each_gets_their_own_text(store: Store) -> None:
    """Merge fields are filled in, and a default stands in for a blank one."""
    post = Post()
    who = [{"phone_number": number(0), "name": "Jo"}, {"phone_number": number(1), "name": ""}]
    campaign = await campaign_of(store, post, who, text="Hi {name|there}")
    await campaign.run()

    assert {number(0): "Hi Jo", number(1): "Hi there"} == post.bodies


async def test_no_more_than_the_concurrency_are_under_way(store: Store) -> None:
    """At no moment are more texts in the air than was said."""
    post = Post(delay=0.005)
    campaign = await campaign_of(store, post, 60, concurrency=7)
    await campaign.run()

    assert post.most_flying <= 7
    assert once(60) == post.texts


async def test_two_processes_share_a_campaign(store_url: str) -> None:
    """Two who run the same campaign at the same time text everybody once between them."""
    posts = [Post(delay=0.002), Post(delay=0.002)]
    async with Store(store_url) as first, Store(store_url) as second:
        one = await campaign_of(first, posts[0], 200)
        other = await Campaign.find(second, "spring", client=posts[1].client())
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: one.run(concurrency=5))
            group.start_soon(lambda: other.run(concurrency=5))
        status = await one.status()

    assert once(200) == posts[0].texts + posts[1].texts
    assert all(post.texts for post in posts)
    assert ({"sent": 200}, CampaignState.DONE) == (counts_of(status.counts), status.state)


# --- nobody who said STOP -----------------------------------------------------------------------------------------


async def test_who_is_suppressed_is_not_texted(store: Store) -> None:
    """For the account or for the group; a suppression for another group does not count."""
    post = Post()
    suppressions = Suppressions(store)
    await suppressions.add(number(0))
    await suppressions.add(number(1), GROUP)
    await suppressions.add(number(2), "gr:another")
    campaign = await campaign_of(store, post, 5)
    status = await campaign.run()

    assert sorted(post.texts) == numbers(5)[2:]
    assert {"sent": 3, "suppressed": 2} == counts_of(status.counts)


async def test_who_texts_from_a_number_heeds_every_groups_suppressions(store: Store) -> None:
    """Nobody knows whose number it is, so a STOP to any group counts; preflight says so beforehand."""
    post = Post()
    await Suppressions(store).add(number(0), "gr:another")
    given: dict[str, Any] = {"text": "Hi", "from_number": "+18885553333", "hours": "any"}
    campaign = Campaign(store, "spring", client=post.client(), **given)
    report = await campaign.add(people(3))
    status = await campaign.run()

    assert (1, {"sent": 2, "suppressed": 1}) == (report.suppressed, counts_of(status.counts))


async def test_a_stop_in_the_middle_counts(store: Store) -> None:
    """Whoever opts out while the campaign runs, and was not claimed yet, is not texted."""
    post = Post()
    campaign = await campaign_of(store, post, 40, concurrency=1)
    suppressions = Suppressions(store)
    outcomes = 0
    async with campaign.outcomes() as running:
        async for _ in running:
            outcomes += 1
            if outcomes == 1:
                for last in numbers(40)[-5:]:
                    await suppressions.add(last, source="opt-out")

    assert once(35) == post.texts
    assert {"sent": 35, "suppressed": 5} == counts_of((await campaign.status()).counts)


async def test_whoever_has_not_consented_is_not_texted(store: Store) -> None:
    """With check_consent, Pidj is asked first, and its answer decides."""
    post = Post(lambda name, _: 404 if name == "contacts.get_by_phone" else None)
    campaign = await campaign_of(store, post, 3, check_consent=True)
    status = await campaign.run()

    assert ({"suppressed": 3}, Counter()) == (counts_of(status.counts), post.texts)

    asked = Post()
    other = Campaign(store, "autumn", client=asked.client(), text="Hi", group_id=GROUP, hours="any", check_consent=True)
    await other.add(people(2))
    assert {"sent": 2} == counts_of((await other.run()).counts)
    assert Counter({"contacts.get_by_phone": 2, "contacts.check_consent": 2}) == Counter(asked.other)


async def test_a_consent_that_pidj_refuses_to_tell_is_asked_once(store: Store) -> None:
    """Asking for ever would help nobody: the recipient is rejected, untexted, and the campaign is done."""
    post = Post(lambda name, _: 400 if name == "contacts.check_consent" else None)
    campaign = await campaign_of(store, post, 3, check_consent=True)
    status = await campaign.run()

    assert ({"rejected": 3}, Counter()) == (counts_of(status.counts), post.texts)
    assert 3 == post.other.count("contacts.check_consent")


async def test_a_consent_that_cannot_be_told_now_is_asked_later(store: Store) -> None:
    """A 500 and a 429 say nothing of the recipient; the 429's pause is kept."""
    answers = iter([500, 429])
    post = Post(lambda name, _: next(answers, None) if name == "contacts.check_consent" else None)
    campaign = await campaign_of(store, post, 3, check_consent=True)
    status = await campaign.run()

    assert ({"sent": 3}, once(3)) == (counts_of(status.counts), post.texts)


# --- what comes back ----------------------------------------------------------------------------------------------


async def test_a_refusal_is_final(store: Store) -> None:
    """A number that Pidj refuses is rejected, with the reason, and not tried again."""
    post = Post(lambda to, _: 400 if to == number(1) else None)
    campaign = await campaign_of(store, post, 3)
    status = await campaign.run()
    rejected = [one async for one in campaign.recipients([RecipientState.REJECTED])]

    assert {"sent": 2, "rejected": 1} == counts_of(status.counts)
    assert [(number(1), 1)] == [(one.phone_number, one.attempts) for one in rejected]
    assert rejected[0].cause is not None


@pytest.mark.parametrize("answer", [lost, lambda: 500, lambda: 503])
async def test_an_unknown_outcome_is_in_doubt_and_not_sent_again(store: Store, answer: Any) -> None:
    """A lost reply and a 5xx may both hide a text that arrived."""
    post = Post(lambda to, before: answer() if to == number(1) and not before else None)
    campaign = await campaign_of(store, post, 3)
    status = await campaign.run()
    again = await campaign.run()

    assert ({"sent": 2, "in_doubt": 1}, counts_of(status.counts)) == (counts_of(status.counts), counts_of(again.counts))
    assert post.texts[number(1)] <= 1


async def test_what_was_not_sent_is_sent_later(store: Store) -> None:
    """A connection that was refused is no text: it goes out when Pidj is there again."""
    tries: Counter[str] = Counter()

    def rule(to: str, _: int) -> NotSentError | None:
        tries[to] += 1
        return refused() if tries[to] == 1 else None

    post = Post(rule)
    campaign = await campaign_of(store, post, 20, concurrency=4)
    status = await campaign.run()

    assert (once(20), {"sent": 20}) == (post.texts, counts_of(status.counts))


async def test_too_many_requests_pause_everybody(store: Store) -> None:
    """After a 429 with Retry-After nothing is sent until then, and nobody is lost."""
    asked_at: list[float] = []
    times: list[float] = []

    def rule(to: str, _: int) -> Any:
        if to == number(3) and not asked_at:
            asked_at.append(anyio.current_time())
            return reply(429, {"retry-after": "1"})
        times.append(anyio.current_time())
        return None

    post = Post(rule)
    campaign = await campaign_of(store, post, 20, concurrency=2)
    status = await campaign.run()

    assert (once(20), {"sent": 20}) == (post.texts, counts_of(status.counts))
    assert [at for at in times if asked_at[0] + 0.05 < at < asked_at[0] + 0.95] == []


@pytest.mark.parametrize("code", [401, 402, 403, 302])
async def test_the_campaign_pauses_itself_when_pidj_lets_nobody_in(store: Store, code: int) -> None:
    """Wrong credentials, no credit, a redirect: it says why, loses nobody, and goes on when that is mended."""
    broken = True
    post = Post(lambda _, __: reply(code) if broken else None)
    campaign = await campaign_of(store, post, 20, concurrency=3)
    status = await campaign.run()

    assert ({"ready": 20}, CampaignState.PAUSED) == (counts_of(status.counts), status.state)
    assert str(code) in (status.reason or "")

    broken = False
    again = await campaign.run()
    assert (once(20), CampaignState.DONE, None) == (post.texts, again.state, again.reason)


async def test_too_many_in_doubt_pause_the_campaign(store: Store) -> None:
    """A Pidj that loses every reply is not sent a million texts."""
    post = Post(lambda _, __: lost())
    campaign = await campaign_of(store, post, 100, concurrency=2, max_in_doubt=5)
    status = await campaign.run()

    assert CampaignState.PAUSED is status.state
    assert "in doubt" in (status.reason or "")
    assert 6 <= status.counts[RecipientState.IN_DOUBT] <= 8


async def test_a_campaign_that_is_refused_altogether_pauses_itself(store: Store) -> None:
    """A wrong address answers every text with a 404: nobody loses a million recipients to it."""
    post = Post(lambda _, __: 404)
    campaign = await campaign_of(store, post, 200, concurrency=5)
    status = await campaign.run()

    assert CampaignState.PAUSED is status.state
    assert "all refused" in (status.reason or "")
    assert 50 <= status.counts[RecipientState.REJECTED] < 60


async def test_refusals_among_successes_are_no_reason_to_pause(store: Store) -> None:
    """A list with many bad numbers is sent to its end."""
    post = Post(lambda to, _: 404 if to != number(0) else None)
    campaign = await campaign_of(store, post, 200, concurrency=5)
    status = await campaign.run()

    assert ({"sent": 1, "rejected": 199}, CampaignState.DONE) == (counts_of(status.counts), status.state)


async def test_an_outage_is_waited_for_without_texting_anybody(store: Store) -> None:
    """While Pidj cannot be reached, what asks whether it is back is a harmless call."""
    post = Post()
    post.reachable = False
    campaign = await campaign_of(store, post, 50, concurrency=5)

    async with anyio.create_task_group() as group:
        group.start_soon(campaign.run)
        await anyio.sleep(1.0)
        assert Counter() == post.texts
        post.reachable = True

    assert once(50) == post.texts
    assert {"root.check_authorization", "check_authorization"} & set(post.other)
    assert {"sent": 50} == counts_of((await campaign.status()).counts)


# --- decisions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("to", "texts", "state"),
    [(RecipientState.SENT, 1, "sent"), (RecipientState.ABANDONED, 1, "abandoned"), (RecipientState.READY, 2, "sent")],
)
async def test_a_person_decides_about_what_is_in_doubt(
    store: Store, to: RecipientState, texts: int, state: str
) -> None:
    """It arrived; it is left at that; or it is sent again, by somebody's decision, who is in the log."""
    post = Post(lambda _, before: None if before else lost())
    campaign = await campaign_of(store, post, 1)
    await campaign.run()
    decided = await campaign.resolve(to, note="asked them")
    await campaign.run()
    entries = [entry for entry in await campaign.log() if entry.what == "resolved"]

    assert (1, texts, {state: 1}) == (decided, post.texts[number(0)], counts_of((await campaign.status()).counts))
    assert ["asked them" in (entry.detail or "") for entry in entries] == [True]
    assert all("@" in entry.who for entry in entries)


async def test_pause_cancel_and_stop(store: Store) -> None:
    """A pause from elsewhere ends the run and keeps everybody; a run goes on; a cancel is final."""
    post = Post(delay=0.005)
    campaign = await campaign_of(store, post, 300, concurrency=2)
    elsewhere = await Campaign.find(store, "spring")

    outcomes = 0
    async with campaign.outcomes() as running:
        async for _ in running:
            outcomes += 1
            if outcomes == 5:
                await elsewhere.pause("lunch")
    paused = await campaign.status()
    assert (CampaignState.PAUSED, "lunch") == (paused.state, paused.reason)
    assert 5 <= paused.counts[RecipientState.SENT] < 100

    async with campaign.outcomes() as running:
        async for _ in running:
            outcomes += 1
            if outcomes == 20:
                await elsewhere.cancel("changed our mind")
    cancelled = await campaign.status()
    assert CampaignState.CANCELLED is cancelled.state
    assert {"sent", "cancelled"} == set(counts_of(cancelled.counts))
    assert cancelled.counts[RecipientState.SENT] == post.texts.total() < 200
    with pytest.raises(ConfigurationError, match="cancelled"):
        await campaign.run()


async def test_stop_lets_what_is_in_the_air_come_back(store: Store) -> None:
    """Nothing new is claimed, nothing is in doubt, and the rest is ready."""
    post = Post(delay=0.05)
    campaign = await campaign_of(store, post, 100, concurrency=4)

    async with anyio.create_task_group() as group:
        group.start_soon(campaign.run)
        await anyio.sleep(0.15)
        campaign.stop()
    status = await campaign.status()

    assert {"sent", "ready"} == set(counts_of(status.counts))
    assert post.texts.total() == status.counts[RecipientState.SENT]
    assert CampaignState.RUNNING is status.state


async def test_a_claim_that_is_cut_off_before_it_is_begun_is_not_sent(store: Store) -> None:
    """Cut off in the very moment in which it is handed to somebody who waits for work, it is ready again."""
    post = Post()
    campaign = await campaign_of(store, post, 10, concurrency=1)
    await campaign.run(on_outcome=lambda _: campaign.abort())

    assert {"sent": 1, "ready": 9} == counts_of((await campaign.status()).counts)
    assert once(1) == post.texts
    assert [None, "cancelled"] == [one.cause async for one in campaign.recipients() if one.attempts == 1]


async def test_cutting_it_off_leaves_no_text_unaccounted_for(store: Store) -> None:
    """A run that is cancelled writes down first what it knows: started is in doubt, not started is ready."""
    post = Post(delay=5.0)
    campaign = await campaign_of(store, post, 30, concurrency=4)

    with anyio.move_on_after(0.3):
        await campaign.run()
    status = await campaign.status()

    assert {"in_doubt": 4, "ready": 26} == counts_of(status.counts)


# --- hours, an end, a pace ----------------------------------------------------------------------------------------


def hours_around_now(begin: int, end: int) -> str:
    """A window by Denver's clock, in minutes from now."""
    from zoneinfo import ZoneInfo  # noqa: PLC0415

    now = datetime.now(ZoneInfo("America/Denver"))
    return "-".join((now + timedelta(minutes=minutes)).strftime("%H:%M") for minutes in (begin, end))


async def test_nobody_is_texted_outside_their_hours(store: Store) -> None:
    """Who is in a zone where it is night waits, and is not lost; the others are texted."""
    post = Post()
    who = [*people(3), {"phone_number": number(7), "time_zone": "Asia/Tokyo"}]
    campaign = await campaign_of(store, post, who, hours=hours_around_now(-90, 90))

    with anyio.move_on_after(1.0):
        await campaign.run()
    status = await campaign.status()

    assert numbers(3) == sorted(post.texts)
    assert {"sent": 3, "pending": 1} == counts_of(status.counts)
    assert status.next_due is not None
    assert timedelta(0) < status.next_due - datetime.now(UTC) < timedelta(days=1)


async def test_after_its_end_nobody_is_texted(store: Store) -> None:
    """Those who were not texted by then are expired."""
    post = Post()
    campaign = await campaign_of(store, post, 3, ends_at=datetime.now(UTC) + timedelta(seconds=0.2))
    await anyio.sleep(0.3)
    status = await campaign.run()

    assert ({"expired": 3}, CampaignState.DONE, Counter()) == (counts_of(status.counts), status.state, post.texts)


async def test_the_rate_is_kept(store: Store) -> None:
    """Forty a second: thirty texts after the first burst take about as long as they must."""
    post = Post()
    pacer = Pacer(concurrency=50, rate=40.0, burst=1)
    campaign = Campaign(
        store, "spring", client=post.client(), text="Hi", group_id=GROUP, hours="any", rate=40.0, pacer=pacer
    )
    await campaign.add(people(31))
    started = anyio.current_time()
    await campaign.run()

    assert anyio.current_time() - started >= 30 / 40.0
    assert once(31) == post.texts


# --- hooks --------------------------------------------------------------------------------------------------------


async def test_outcomes_are_committed_when_they_are_reported(store: Store) -> None:
    """What a hook is told, the ledger says too, at that moment."""
    post = Post()
    campaign = await campaign_of(store, post, 10, concurrency=1)
    seen: list[str] = []
    async with campaign.outcomes() as outcomes:
        async for outcome in outcomes:
            row = [one async for one in campaign.recipients() if one.id == outcome.recipient_id]
            seen.append(row[0].state)

    assert ["sent"] * 10 == seen


async def test_leaving_the_outcomes_early_stops_the_campaign(store: Store) -> None:
    """And what was in the air is in the ledger."""
    post = Post(delay=0.01)
    campaign = await campaign_of(store, post, 200, concurrency=3)
    async with campaign.outcomes() as outcomes:
        async for _ in outcomes:
            break
    status = await campaign.status()

    assert post.texts.total() == status.counts[RecipientState.SENT] < 50
    assert {"sent", "ready"} == set(counts_of(status.counts))


async def test_progress_adds_up(store: Store) -> None:
    """However the run stands, the counts come to the number of recipients."""
    post = Post(delay=0.02)
    campaign = await campaign_of(store, post, 60, concurrency=2)
    seen: list[Progress] = []
    await campaign.run(on_progress=seen.append)

    assert seen
    assert {60} == {sum(one.counts.values()) for one in seen}
    assert all(one.in_flight <= 2 for one in seen)


async def test_what_the_transport_should_not_raise_is_in_doubt(store: Store) -> None:
    """A transport of the caller's with a bug may have sent the text."""

    class Odd(Post):
        async def send(self, request: Any, progress: Any) -> Any:
            await super().send(request, progress)
            raise RuntimeError

    post = Odd()
    campaign = await campaign_of(store, post, 2)
    status = await campaign.run()

    assert {"in_doubt": 2} == counts_of(status.counts)


# --- misuse -------------------------------------------------------------------------------------------------------


async def test_other_settings_under_the_same_name_are_refused(store: Store) -> None:
    """A campaign sends one text; another text is another campaign."""
    await campaign_of(store, Post(), 1)
    other = Campaign(store, "spring", text="Something else", group_id=GROUP, hours="any")

    with pytest.raises(ConfigurationError, match="text"):
        await other.add(people(1))


async def test_a_campaign_without_recipients_or_client_does_not_run(store: Store) -> None:
    """It says what is missing."""
    campaign = Campaign(store, "spring", client=Post().client(), text="Hi", group_id=GROUP)
    with pytest.raises(ConfigurationError, match="recipients"):
        await campaign.run()
    with pytest.raises(ConfigurationError, match="client"):
        await Campaign(store, "spring", text="Hi", group_id=GROUP).run()
    with pytest.raises(ConfigurationError, match="no campaign"):
        await Campaign.find(store, "summer")


async def test_a_list_that_was_not_added_to_its_end_is_not_sent(store: Store) -> None:
    """A source that breaks half-way leaves a campaign that cannot run until it is added again."""

    async def broken() -> AsyncIterator[dict[str, str]]:
        yield people(1)[0]
        msg = "the disk is gone"
        raise OSError(msg)

    post = Post()
    campaign = Campaign(store, "spring", client=post.client(), text="Hi", group_id=GROUP, hours="any")
    with pytest.raises(OSError, match="gone"):
        await campaign.add(broken(), name="people.csv")
    with pytest.raises(ConfigurationError, match=r"people\.csv"):
        await campaign.run()

    await campaign.add(people(2), name="people.csv")
    await campaign.run()
    assert once(2) == post.texts


async def test_a_list_that_is_only_read_again_does_not_stop_the_campaign(store: Store) -> None:
    """Whoever dies while reading a list that was added before leaves a campaign that can go on; not with new people."""

    async def broken(count: int) -> AsyncIterator[dict[str, str]]:
        for one in people(count):
            yield one
        msg = "the disk is gone"
        raise OSError(msg)

    post = Post()
    campaign = Campaign(store, "spring", client=post.client(), text="Hi", group_id=GROUP, hours="any")
    await campaign.add(people(3), name="people.csv")
    with pytest.raises(OSError, match="gone"):
        await campaign.add(broken(2), name="people.csv")
    await campaign.run()
    assert once(3) == post.texts

    with pytest.raises(OSError, match="gone"):
        await campaign.add(broken(2_001), name="people.csv")  # more than a page: some of them are in the ledger
    with pytest.raises(ConfigurationError, match=r"people\.csv"):
        await campaign.run()


async def test_a_dry_run_keeps_nothing(store: Store) -> None:
    """It says what `add` would, and there is no campaign afterwards."""
    campaign = Campaign(store, "spring", text="Hi {name}", group_id=GROUP)
    await Suppressions(store).add(number(0))
    report = await campaign.preflight([*people(3, name="Jo"), *people(1, name="Jo"), {"phone_number": number(5)}])

    assert (5, 3, 1, 1, 1) == (report.lines, report.recipients, report.invalid, report.duplicate, report.suppressed)
    with pytest.raises(ConfigurationError, match="no campaign"):
        await Campaign.find(store, "spring")


async def test_a_store_that_fails_for_a_while_loses_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settlements are kept until they can be written, and nothing is claimed meanwhile."""
    post = Post()
    campaign = await campaign_of(store, post, 60, concurrency=3)
    write = store.write
    calls = 0

    async def unsteady(work: Any) -> Any:
        nonlocal calls
        calls += 1
        if 10 < calls < 14:
            msg = "disk full"
            raise StoreError(msg)
        return await write(work)

    monkeypatch.setattr(store, "write", unsteady)
    status = await campaign.run()

    assert (once(60), {"sent": 60}) == (post.texts, counts_of(status.counts))
    assert calls > 14


async def test_a_turn_that_failed_and_was_committed_ends_in_doubt(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Claims that were committed, and whose commit was not heard of, are neither sent nor forgotten."""
    post = Post(delay=0.01)
    campaign = await campaign_of(store, post, 40, concurrency=4)
    write = store.write
    before: Counter[str] = Counter()

    async def deaf(work: Any) -> Any:
        result = await write(work)
        if getattr(result, "claims", ()) and post.texts.total() >= 10 and not before:
            before.update(post.texts)
            msg = "the connection was lost"
            raise StoreError(msg)
        return result

    monkeypatch.setattr(store, "write", deaf)
    status = await campaign.run()

    assert {1} == set(post.texts.values())
    assert (40, CampaignState.DONE) == (status.recipients, status.state)
    assert {"sent", "in_doubt"} == set(counts_of(status.counts))
    assert 1 <= status.counts[RecipientState.IN_DOUBT] <= 4
    assert post.texts.total() == status.counts[RecipientState.SENT]
