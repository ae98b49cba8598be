"""Webhooks, over real HTTP to a real listener: their shapes, their order, what happens when nobody listens."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pidj_async.errors import ConfigurationError
from pidj_async.sandbox import GROUP_ID, GROUP_NUMBER, Attempt, Sandbox
from pidj_async.webhooks import OptedOut, TextReceived, parse_event
from tests.recorder import Recorded, Recorder
from tests.sandbox.calling import MARIA, Api

Answer = tuple[int, dict[str, str], bytes]

OK: Answer = (200, {}, b"")


@pytest.fixture
def listener(sandbox: Sandbox) -> Iterator[Recorder]:
    with Recorder(lambda _: OK) as listener:
        sandbox.webhook_url = listener.base_url
        yield listener
        sandbox.webhook_url = None
        sandbox.drain_sync()


def bodies(listener: Recorder) -> list[dict[str, Any]]:
    return [json.loads(request.body) for request in listener.requests]


def statuses(sandbox: Sandbox) -> list[str]:
    return [delivery.status for delivery in sandbox.deliveries]


def test_contact_webhooks(api: Api, sandbox: Sandbox, listener: Recorder) -> None:
    """A contact's life is told in order, in the webhooks' own spelling, and only what changes is told."""
    contact_id = api.create_contact(first_name="Maria", last_name="Alvarez")
    api.create_contact(first_name="Maria")
    api("PUT", f"/contact/{contact_id}", display_name="Mia")
    api("PUT", f"/contact/{contact_id}", display_name="Mia")
    api("DELETE", f"/contact/{contact_id}")
    sandbox.restore_contact(contact_id)
    sandbox.drain_sync()
    told = bodies(listener)
    events = ["contact-created", "contact-updated", "contact-deleted", "contact-restored"]
    assert events == [body["event"] for body in told]
    expected: dict[str, Any] = {
        "uuid": contact_id,
        "first_name": "Maria",
        "last_name": "Alvarez",
        "business_name": "",
        "display_name": "Maria Alvarez",
        "email_address": "",
        "phone": MARIA,
        "phone_office": None,
        "phone_fax": None,
        "timezone": "America/Denver",
        "tags": [],
        "external_id": None,
    }
    assert {"event": "contact-created", "contact": expected} == told[0]
    assert ["Mia"] * 3 == [body["contact"]["display_name"] for body in told[1:]]
    assert contact_id == api.contact(contact_id)["id"]


def test_webhook_request(api: Api, sandbox: Sandbox, listener: Recorder) -> None:
    """A webhook is a POST of JSON to exactly the URL that was given."""
    sandbox.webhook_url = f"{listener.base_url}/hooks?secret=s3cret"
    assert f"{listener.base_url}/hooks?secret=s3cret" == sandbox.webhook_url
    api.create_contact()
    sandbox.drain_sync()
    (request,) = listener.requests
    assert ("POST", "/api/2020/hooks?secret=s3cret") == (request.method, request.path)
    assert "application/json" == request.headers["content-type"]
    assert b"America\\/Denver" in request.body


def test_text_webhooks(api: Api, sandbox: Sandbox, listener: Recorder) -> None:
    """A text is told with its group and, if the sender is one, its contact; keywords follow it."""
    sandbox.receive_text(MARIA, "Hello?")
    contact_id = api.create_contact()
    sandbox.receive_text(MARIA, "Stop", group=GROUP_ID)
    sandbox.drain_sync()
    first, _, second, third = bodies(listener)
    group = {"uuid": GROUP_ID, "name": "Front desk", "phone": GROUP_NUMBER}
    text = {"message": "Hello?", "phone_to": GROUP_NUMBER, "phone_from": MARIA, "group": group, "contact": None}
    assert {"event": "text-received", "text": text} == first
    assert ("text-received", contact_id) == (second["event"], second["text"]["contact"]["uuid"])
    assert {"event", "contact", "group", "text"} == third.keys()
    received, opted_out = parse_event(json.dumps(second)), parse_event(json.dumps(third))
    assert isinstance(received, TextReceived)
    assert isinstance(opted_out, OptedOut)
    assert (MARIA, GROUP_ID) == (opted_out.phone_number, opted_out.group and opted_out.group.id)


def test_consent_and_opt_in_webhooks(api: Api, sandbox: Sandbox, listener: Recorder) -> None:
    """Consent and opting in name the contact and the group."""
    contact_id = api.create_contact()
    api("POST", "/contact/send-consent-text", contact_id=contact_id, group_id=GROUP_ID)
    for word in ("YES", "STOP", "UNSTOP"):
        sandbox.receive_text(MARIA, word)
    sandbox.drain_sync()
    told = {body["event"]: body for body in bodies(listener)}
    events = ["contact-created", "text-received", "consent-given", "opt-out", "opt-in"]
    assert events == list(told)
    for event in events[2:]:
        assert (contact_id, GROUP_ID) == (told[event]["contact"]["uuid"], told[event]["group"]["uuid"])


def test_interaction_closed_webhook(api: Api, sandbox: Sandbox, listener: Recorder) -> None:
    """A task that is closed is told, with the contact and the group if it has them."""
    contact_id = api.create_contact()
    task_id = api("POST", "/task/initiate", channel="ticket", group_id=GROUP_ID, phone_number=MARIA, subject="Leak")[
        "task"
    ]
    lonely_id = api("POST", "/task/initiate", channel="ticket")["task"]
    sandbox.close_task(task_id)
    sandbox.close_task(lonely_id)
    sandbox.drain_sync()
    _, told, lonely = bodies(listener)
    assert {"uuid": task_id, "channel": "ticket", "subject": "Leak"} == told["interaction"]
    assert (contact_id, GROUP_ID) == (told["contact"]["uuid"], told["group"]["uuid"])
    assert {
        "event": "interaction-closed",
        "interaction": {"uuid": lonely_id, "channel": "ticket", "subject": ""},
        "contact": None,
        "group": None,
    } == lonely


def test_order_over_failures(sandbox: Sandbox, listener: Recorder) -> None:
    """A webhook that must be tried again holds up those behind it, so the order stays."""
    answers: Iterator[Answer] = iter([(500, {}, b""), (302, {"Location": "/"}, b""), OK, OK])
    listener.answer = lambda _: next(answers)
    sandbox.receive_text(MARIA, "One")
    sandbox.receive_text(MARIA, "Two")
    sandbox.drain_sync()
    assert ["One", "One", "One", "Two"] == [body["text"]["message"] for body in bodies(listener)]
    first, second = sandbox.deliveries
    tries = tuple(Attempt(status_code=code) for code in (500, 302, 200))
    assert ("delivered", tries) == (first.status, first.attempts)
    assert ("delivered", tries[-1:]) == (second.status, second.attempts)


def test_giving_up(sandbox: Sandbox, listener: Recorder) -> None:
    """After the last attempt a webhook is given up, on record, and the next one has its turn."""
    answers: Iterator[Answer] = iter([(503, {}, b"")] * 3 + [OK])
    listener.answer = lambda _: next(answers)
    sandbox.receive_text(MARIA, "One")
    sandbox.receive_text(MARIA, "Two")
    sandbox.drain_sync()
    assert [("failed", 3), ("delivered", 1)] == [(one.status, len(one.attempts)) for one in sandbox.deliveries]


def test_nobody_listens(sandbox: Sandbox) -> None:
    """A receiver that is not there costs its attempts and nothing else."""
    with Recorder() as closed:
        url = closed.base_url
    sandbox.webhook_url = url
    sandbox.receive_text(MARIA, "Hello")
    sandbox.drain_sync()
    (delivery,) = sandbox.deliveries
    assert ("failed", (Attempt(error="ConnectError"),) * 3) == (delivery.status, delivery.attempts)


def test_without_url(sandbox: Sandbox) -> None:
    """Without a URL webhooks are kept and not delivered, and there is nothing to wait for."""
    sandbox.receive_text(MARIA, "Hello")
    sandbox.drain_sync(timeout=0)
    (delivery,) = sandbox.deliveries
    assert ("text-received", "skipped", 0) == (delivery.event, delivery.status, len(delivery.attempts))
    assert "Hello" == delivery.body["text"]["message"]


def test_url_taken_away(sandbox: Sandbox, listener: Recorder) -> None:
    """A webhook whose URL is taken away while it waits fails, on record."""
    asked, answered = threading.Event(), threading.Event()

    def hold(_: Recorded) -> Answer:
        asked.set()
        assert answered.wait(10)
        return OK

    listener.answer = hold
    sandbox.receive_text(MARIA, "One")
    sandbox.receive_text(MARIA, "Two")
    assert asked.wait(10)
    sandbox.webhook_url = None
    answered.set()
    sandbox.drain_sync()
    one, two = sandbox.deliveries
    assert ("delivered", "failed") == (one.status, two.status)
    assert (Attempt(error="NoWebhookUrl"),) * 3 == two.attempts


def test_drain_waits(sandbox: Sandbox, listener: Recorder) -> None:
    """Draining ends when the last webhook is answered, and not before."""
    asked, answered = threading.Event(), threading.Event()

    def hold(_: Recorded) -> Answer:
        asked.set()
        assert answered.wait(10)
        return OK

    listener.answer = hold
    sandbox.receive_text(MARIA, "Hello")
    assert asked.wait(10)
    with pytest.raises(TimeoutError, match="1 webhooks are not delivered yet"):
        sandbox.drain_sync(timeout=0)
    assert ["pending"] == statuses(sandbox)
    answered.set()
    sandbox.drain_sync()
    assert ["delivered"] == statuses(sandbox)


def test_reset_forgets_webhooks(sandbox: Sandbox, listener: Recorder) -> None:
    """After a reset nothing of before is tried again, and what follows is delivered."""
    asked, answered = threading.Event(), threading.Event()

    def hold(_: Recorded) -> Answer:
        asked.set()
        assert answered.wait(10)
        return 500, {}, b""

    listener.answer = hold
    sandbox.receive_text(MARIA, "Old")
    sandbox.receive_text(MARIA, "Old too")
    assert asked.wait(10)
    sandbox.reset()
    assert [] == statuses(sandbox)
    sandbox.receive_text(MARIA, "New")
    listener.answer = lambda _: OK
    answered.set()
    sandbox.drain_sync()
    assert ["Old", "New"] == [body["text"]["message"] for body in bodies(listener)]
    assert ["delivered"] == statuses(sandbox)


@pytest.mark.anyio
async def test_drain_async(sandbox: Sandbox, listener: Recorder) -> None:
    """Draining can be awaited, on both event loops."""
    sandbox.receive_text(MARIA, "Hello")
    await sandbox.drain()
    assert 1 == len(listener.requests)


@pytest.mark.parametrize("url", ["", "127.0.0.1:8000", "ftp://127.0.0.1/", "http://", "http://[", "http://a\x00b/"])
def test_webhook_url_is_checked(sandbox: Sandbox, url: str) -> None:
    """A URL that cannot be delivered to is refused at once, and not shown: it may hold a secret."""
    with pytest.raises(ConfigurationError, match="webhook_url must be an absolute") as caught:
        sandbox.webhook_url = url
    assert "got" not in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [{"webhook_attempts": 0}, {"webhook_backoff": -1}, {"webhook_timeout": 0}, {"webhook_timeout": float("nan")}],
)
def test_webhook_arguments_are_checked(arguments: dict[str, Any]) -> None:
    """Numbers that cannot work are refused."""
    with pytest.raises(ConfigurationError, match="webhook_"):
        Sandbox(**arguments)


def test_records_hide_people(api: Api, sandbox: Sandbox) -> None:
    """The repr of a delivery and of a text shows no number and no message."""
    api.create_contact()
    api.send(text_body="Dear Maria")
    shown = repr((sandbox.deliveries, sandbox.texts))
    assert "5553333" not in shown
    assert "Dear" not in shown
