"""Answering a text: from where, to whom, and when not."""

from __future__ import annotations

import json
import logging
from typing import Any
from unittest import mock

import anyio.from_thread
import attrs
import pytest

from pidj_async import Pidj
from pidj_async._unset import UNSET, Unset
from pidj_async.errors import ConfigurationError, InvalidRequestError
from pidj_async.models import TextSent
from pidj_async.sandbox import Sandbox
from pidj_async.webhooks import (
    Contact,
    Dispatcher,
    Event,
    Group,
    OptedOut,
    Reply,
    ReplyToOptOutError,
    SendsTexts,
    Text,
    TextReceived,
    parse_event,
)

SENT = TextSent(status="success", message="Text sent.")


@attrs.frozen
class Outbox:
    """What a client's ``messages`` is, but it sends nothing."""

    sent: list[tuple[str, str, str | Unset, str | Unset]] = attrs.field(factory=list)

    async def send(
        self, *, to_number: str, text_body: str, from_number: str | Unset = UNSET, group_id: str | Unset = UNSET
    ) -> TextSent:
        self.sent.append((to_number, text_body, from_number, group_id))
        return SENT


@attrs.frozen
class FakeClient:
    """As much of a client as an answer needs."""

    messages: Outbox = attrs.field(factory=Outbox)


def text(message: str = "When do you open?", **fields: Any) -> TextReceived:
    """A text with everything in it."""
    everything: dict[str, Any] = {
        "phone_from": "+18885552222",
        "phone_to": "+18885550000",
        "group": Group(id="gr:sales", phone_number="+18885550001"),
        "contact": Contact(phone_number="+18885552223"),
    }
    return TextReceived(text=Text(message=message, **(everything | fields)))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("fields", "to_number", "from_number", "group_id"),
    [
        ({}, "+18885552222", UNSET, "gr:sales"),
        ({"phone_from": None}, "+18885552223", UNSET, "gr:sales"),
        ({"contact": None}, "+18885552222", UNSET, "gr:sales"),
        ({"group": None}, "+18885552222", "+18885550000", UNSET),
        ({"group": Group(phone_number="+18885550001")}, "+18885552222", "+18885550000", UNSET),
        ({"group": Group(phone_number="+18885550001"), "phone_to": None}, "+18885552222", "+18885550001", UNSET),
    ],
)
async def test_an_answer_goes_back_the_way_the_text_came(
    fields: dict[str, Any], to_number: str, from_number: str | Unset, group_id: str | Unset
) -> None:
    """To the number that texted, from the group by its id, else from the number that was texted."""
    client = FakeClient()
    assert await text(**fields).reply("At 9.", client) == SENT
    assert client.messages.sent == [(to_number, "At 9.", from_number, group_id)]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("event", "field", "problem"),
    [
        (text(phone_from=None, contact=None), "to_number", "to_number: there is nobody to answer"),
        (TextReceived(), "to_number", "to_number: there is nobody to answer"),
        (text(group=None, phone_to=None), "from_number", "from_number: there is nothing to answer from"),
        (text("STOP"), "to_number", "to_number: has just opted out, and an opt-out is not answered"),
    ],
)
async def test_what_cannot_or_must_not_be_answered_is_refused(event: TextReceived, field: str, problem: str) -> None:
    """Before anything is sent, and the error says why."""
    client = FakeClient()
    with pytest.raises(InvalidRequestError, match=problem) as caught:
        await event.reply("At 9.", client)
    assert caught.value.field == field
    assert client.messages.sent == []


@pytest.mark.anyio
@pytest.mark.parametrize("message", ["STOP", "stop.", "Stop all", " opt-out!", "UNSUBSCRIBE", "quit", "Cancel", "end"])
async def test_an_opt_out_is_never_answered(message: str) -> None:
    """However it is written."""
    client = FakeClient()
    with pytest.raises(ReplyToOptOutError):
        await Reply(event=text(message), sender=client)("Goodbye!")
    assert client.messages.sent == []


@pytest.mark.anyio
async def test_a_handler_can_ask_for_a_reply() -> None:
    """It goes through the client that was provided; from a thread it takes a way back to the loop."""
    dispatcher, client = Dispatcher(), FakeClient()
    dispatcher.provide(FakeClient, client)

    @dispatcher.on(TextReceived)
    async def answer(_: TextReceived, reply: Reply) -> None:
        assert await reply("async") == SENT

    @dispatcher.on(TextReceived)
    def answer_from_a_thread(_: TextReceived, reply: Reply) -> None:
        anyio.from_thread.run(reply, "plain")

    report = await dispatcher.dispatch(text())
    assert report.ok, report.failed
    assert [body for _, body, _, _ in client.messages.sent] == ["async", "plain"]


@pytest.mark.anyio
async def test_a_reply_to_an_opt_out_is_refused_and_not_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    """The handler ends there, nothing is sent, and nobody tries again; the log says so without a number."""
    dispatcher, client = Dispatcher(), FakeClient()
    dispatcher.provide(FakeClient, client)
    seen: list[str] = []

    @dispatcher.on(TextReceived, fallback=True)
    async def answer(_: TextReceived, reply: Reply) -> None:
        seen.append("before")
        await reply("Sorry, I did not understand.")
        seen.append("after")

    with caplog.at_level(logging.INFO, "pidj_async.webhooks"):
        report = await dispatcher.dispatch(text("Stop!"))
    assert seen == ["before"]
    assert client.messages.sent == []
    assert [result.outcome for result in report.results] == ["refused"]
    assert isinstance(report.results[0].error, ReplyToOptOutError)
    assert (report.ok, report.handled, report.failed) == (True, True, ())
    told = [record for record in caplog.records if record.name == "pidj_async.webhooks"]
    assert [record.levelno for record in told] == [logging.WARNING]
    assert "answer wanted to answer an opt-out: refused" in told[0].getMessage()
    assert "5552222" not in caplog.text


@pytest.mark.anyio
async def test_it_works_with_the_real_client() -> None:
    """Against the sandbox: the text that comes back is from the group that was texted."""
    with Sandbox() as sandbox:
        sandbox.receive_text("+18885552222", "When do you open?")
        event = parse_event(json.dumps(sandbox.deliveries[-1].body))
        async with Pidj(
            account_key=sandbox.account_key, token=sandbox.token, base_url=sandbox.base_url, transport="httpx"
        ) as pidj:
            dispatcher = Dispatcher()
            dispatcher.provide(Pidj, lambda: pidj)

            @dispatcher.on(TextReceived)
            async def answer(_: TextReceived, reply: Reply) -> None:
                await reply("At 9.")

            report = await dispatcher.dispatch(event)
        assert report.ok, report.failed
        sent = sandbox.texts[-1]
        assert (sent.to_number, sent.text_body) == ("+18885552222", "At 9.")


# --- which client, and what is refused ----------------------------------------------------------------------------


def wants_reply(_: Event, reply: Reply) -> None:
    """Never called."""


class Untyped:
    """A client whose class does not say so."""

    def __init__(self) -> None:
        self.messages = Outbox()


@pytest.mark.parametrize(
    ("kind", "provider"),
    [
        (Pidj, FakeClient),
        (Pidj, FakeClient()),
        (SendsTexts, FakeClient),
        (FakeClient, FakeClient),
        (Untyped, Untyped()),
        (Pidj, mock.MagicMock(Pidj)),
    ],
)
def test_a_client_is_known_by_its_type_or_by_what_it_can(kind: Any, provider: Any) -> None:
    """What it was provided for tells, else the value: whether it has ``messages.send``. Other mocks do not disturb."""
    dispatcher = Dispatcher()
    dispatcher.provide(kind, provider)
    if kind is not Untyped:
        dispatcher.provide(Group, mock.NonCallableMock())
    dispatcher.on(TextReceived)(wants_reply)
    dispatcher.check()


def test_without_a_client_it_is_found_out_before_the_first_event() -> None:
    """The error says what to provide."""
    dispatcher = Dispatcher()
    dispatcher.provide(Outbox, Outbox())
    dispatcher.on(TextReceived)(wants_reply)
    problem = r"wants_reply wants 'reply', a Reply, but there is no client to send it: call dispatcher.provide\(Pidj"
    with pytest.raises(ConfigurationError, match=problem):
        dispatcher.check()


@pytest.mark.anyio
async def test_a_handler_can_do_without_a_reply() -> None:
    """If it says so."""
    dispatcher = Dispatcher()
    got: list[Reply | None] = []

    @dispatcher.on(TextReceived)
    async def handler(_: TextReceived, reply: Reply | None) -> None:
        got.append(reply)

    assert (await dispatcher.dispatch(text())).ok
    assert got == [None]


@pytest.mark.anyio
async def test_of_two_clients_somebody_has_to_choose() -> None:
    """By providing the Reply itself."""
    dispatcher, ours, theirs = Dispatcher(), FakeClient(), FakeClient()
    dispatcher.provide(FakeClient, ours)
    dispatcher.provide(Pidj, theirs)  # type: ignore[arg-type]
    dispatcher.on(TextReceived)(wants_reply)
    with pytest.raises(ConfigurationError, match=r"both FakeClient and Pidj could send it: say which by dispatcher\.p"):
        dispatcher.check()

    def reply_by_ours(event: TextReceived, client: FakeClient) -> Reply:
        return Reply(event=event, sender=client)

    dispatcher.provide(Reply, reply_by_ours)

    @dispatcher.on(TextReceived)
    async def answer(_: TextReceived, reply: Reply) -> None:
        await reply("At 9.")

    report = await dispatcher.dispatch(text())
    assert report.ok, report.failed
    assert (len(ours.messages.sent), len(theirs.messages.sent)) == (1, 0)


@pytest.mark.parametrize("event_type", [OptedOut, Event])
def test_only_a_text_can_be_answered(event_type: type[Event]) -> None:
    """Least of all an opt-out."""
    with pytest.raises(TypeError, match=f"'reply' is annotated Reply, but for {event_type.__name__} only a TextRec"):
        Dispatcher().on(event_type)(wants_reply)


def test_a_handler_of_stop_words_alone_cannot_answer() -> None:
    """It would be refused every time; one that also has other words may."""
    with pytest.raises(TypeError, match=r"wants to answer 'cancel, stop', but that is an opt-out"):
        Dispatcher().on(TextReceived, keyword=["STOP", "Cancel!"])(wants_reply)
    Dispatcher().on(TextReceived, keyword=["STOP", "hours"])(wants_reply)


def test_a_reply_shows_no_number() -> None:
    """Nor what was written."""
    shown = repr(Reply(event=text("my secret plan"), sender=FakeClient()))
    assert "5552222" not in shown
    assert "secret plan" not in shown
