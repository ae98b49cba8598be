"""The receiver: who may post, what is answered, what is counted, and that nobody sees the secret."""

from __future__ import annotations

import base64
import hmac
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from pidj_async.errors import ConfigurationError, UnauthorizedWebhookError
from pidj_async.webhooks import (
    Dispatcher,
    EventShape,
    FieldShape,
    OptedOut,
    Receiver,
    TextReceived,
    WebhookReply,
    WebhookRequest,
    sample,
)
from pidj_async.webhooks.shapes import ShapeLog

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "correct-horse-battery"
BODY = json.dumps(sample("opt-out")).encode()


def basic(user: str, password: str, encoding: str = "utf-8") -> dict[str, str]:
    """An Authorization header."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode(encoding)).decode()}


def request(**changes: Any) -> WebhookRequest:
    """A request that is fine as it is."""
    return WebhookRequest(**{"method": "POST", "path": "/", "headers": basic("pidj", SECRET), "body": BODY, **changes})


def told(reply: WebhookReply) -> dict[str, str]:
    """The reply's JSON."""
    loaded: dict[str, str] = json.loads(reply.body)
    return loaded


def header(reply: WebhookReply, name: str) -> str:
    """One of the reply's headers."""
    return dict(reply.headers)[name]


@pytest.fixture
def seen() -> list[Any]:
    """What the handler has seen."""
    return []


@pytest.fixture
def receiver(seen: list[Any]) -> Receiver:
    """A receiver with one handler."""
    dispatcher = Dispatcher()
    dispatcher.on(OptedOut)(seen.append)
    return Receiver(dispatcher, secret=SECRET)


# --- the secret ---------------------------------------------------------------------------------------------------

PLACES: dict[str, Callable[[str], dict[str, Any]]] = {
    "basic password": lambda secret: {"headers": basic("pidj", secret)},
    "basic user name": lambda secret: {"headers": basic(secret, "")},
    "basic, scheme in capitals": lambda secret: {
        "headers": [("AUTHORIZATION", basic("", secret)["Authorization"].replace("Basic", "BASIC"))]
    },
    "path": lambda secret: {"path": f"/webhooks/{secret}"},
    "path alone": lambda secret: {"path": f"/{secret}"},
    "query secret": lambda secret: {"query": f"a=1&secret={secret}"},
    "query token": lambda secret: {"query": f"token={secret}"},
}


@pytest.mark.anyio
@pytest.mark.parametrize("secret", [SECRET, "päß-wörd", "a b", "ab+cd/ef==", "日本語\U0001f600", "x:y"])
@pytest.mark.parametrize("place", PLACES)
async def test_the_secret_is_taken_in_each_of_its_places(secret: str, place: str, seen: list[Any]) -> None:
    """In all of them the right secret is let in and wrong ones are not, ASCII or otherwise."""
    if place == "basic user name" and ":" in secret:
        return  # a Basic user name ends at its first colon
    dispatcher = Dispatcher()
    dispatcher.on(OptedOut)(seen.append)
    receiver = Receiver(dispatcher, secret=secret)
    for wrong in (secret[:-1], secret + "x", secret.upper() + "É", "", "wrong"):
        reply = await receiver.receive(request(**{"headers": (), **PLACES[place](wrong)}))
        assert reply.status == 401
    assert seen == []
    right = {"headers": (), **PLACES[place](secret)}
    if "query" in right:
        right["query"] = right["query"].replace(" ", "%20").replace("=", "%3D").replace("%3D", "=", 2)
    reply = await receiver.receive(request(**right))
    assert (reply.status, len(seen)) == (200, 1)


@pytest.mark.anyio
async def test_several_secrets_are_valid_at_once(seen: list[Any]) -> None:
    """While a secret is being replaced, the old and the new one both work, and no third."""
    dispatcher = Dispatcher()
    dispatcher.on(OptedOut)(seen.append)
    receiver = Receiver(dispatcher, secret=iter(["old", "new"]))
    statuses = [
        (await receiver.receive(request(headers=basic("pidj", each)))).status for each in ("old", "new", "oldnew")
    ]
    assert statuses == [200, 200, 401]


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": ()},
        {"headers": {"authorization": "Bearer " + SECRET}},
        {"headers": {"authorization": SECRET}},
        {"headers": {"authorization": "Basic"}},
        {"headers": {"authorization": "Basic é%%%"}},
        {"headers": {"authorization": "Basic " + base64.b64encode(SECRET.encode() + b"x").decode()}},
        {"headers": {"authorization": "Basic /////w=="}},
        {"headers": (), "path": f"/{SECRET}/more"},
        {"headers": (), "path": f"/x{SECRET}"},
        {"headers": (), "path": "/\ud800\x00"},
        {"headers": (), "query": f"Secret={SECRET}"},
        {"headers": (), "query": SECRET},
        {"headers": (), "query": "&".join(["x=1"] * 100) + f"&secret={SECRET}"},
        {"headers": (), "query": "secret=\ud800%ff%"},
        {"headers": (), "body": SECRET.encode()},
    ],
)
@pytest.mark.anyio
async def test_a_secret_anywhere_else_is_no_secret(
    receiver: Receiver, seen: list[Any], changes: dict[str, Any]
) -> None:
    """Missing, misplaced or garbled, the answer is the same 401 with the way to do it."""
    reply = await receiver.receive(request(**changes))
    assert reply.status == 401
    assert header(reply, "www-authenticate").startswith("Basic ")
    assert "https://pidj:SECRET@" in told(reply)["error"]
    assert seen == []
    with pytest.raises(UnauthorizedWebhookError, match="missing or wrong"):
        receiver.authenticate(request(**changes))


def test_secrets_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only `hmac.compare_digest` compares, on values of one length, and the first match does not end it."""
    compared: list[tuple[int, int]] = []
    real = hmac.compare_digest

    def spy(left: bytes, right: bytes) -> bool:
        compared.append((len(left), len(right)))
        return real(left, right)

    receiver = Receiver(Dispatcher(), secret=["first", "second"])
    monkeypatch.setattr(hmac, "compare_digest", spy)
    for password in ("first", "second", "x" * 1_000):
        compared.clear()
        assert (receiver.check(request(headers=basic("u", password), path="/p")) is None) == (password != "x" * 1_000)
        # Three candidates (user name, password, last segment) times two secrets.
        assert compared == [(14, 14)] * 6  # as long as the longer one, and 8 bytes that say how long it was
    monkeypatch.setattr(hmac, "compare_digest", lambda *_: False)
    assert receiver.check(request(headers=basic("u", "first"))) is not None


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "needs a secret.*insecure=True"),
        ({"secret": None}, "needs a secret"),
        ({"secret": ""}, "blank"),
        ({"secret": "  "}, "blank"),
        ({"secret": ["fine", ""]}, "blank"),
        ({"secret": []}, "empty list"),
        ({"secret": b"bytes"}, "must be a text, not bytes"),
        ({"secret": ["x", None]}, "must be a text, not NoneType"),
        ({"secret": 5}, "must be a text, not int"),
        ({"secret": "x", "insecure": True}, "contradict"),
        ({"secret": "x", "path": "webhooks"}, "must begin with a slash"),
        ({"secret": "x", "max_body_bytes": 0}, "max_body_bytes must be positive"),
        ({"secret": "x", "body_timeout": 0}, "body_timeout must be a positive"),
        ({"secret": "x", "body_timeout": float("nan")}, "body_timeout must be a positive"),
    ],
)
def test_a_receiver_set_up_unsafely_is_refused(options: dict[str, Any], problem: str) -> None:
    """No secret, a blank one, or limits that make no sense are errors before any event has come."""
    with pytest.raises(ConfigurationError, match=problem):
        Receiver(Dispatcher(), **options)


@pytest.mark.anyio
async def test_insecure_takes_events_from_anybody() -> None:
    """Whoever says ``insecure=True`` gets what they asked for."""
    reply = await Receiver(Dispatcher(), insecure=True).receive(request(headers=()))
    assert reply.status == 200


@pytest.mark.anyio
@pytest.mark.parametrize("place", PLACES)
async def test_nobody_sees_the_secret(place: str, caplog: pytest.LogCaptureFixture) -> None:
    """It is in no repr, log record, reply or error: neither the right one nor a wrong guess."""
    receiver = Receiver(Dispatcher(), secret=SECRET, max_body_bytes=5)
    with caplog.at_level(logging.DEBUG):
        for secret in (SECRET, SECRET + "-guess"):
            changes = {"headers": (), **PLACES[place](secret)}
            authorization = [value.split()[1] for _, value in dict(changes["headers"]).items()]
            for body in (b"", b"{}", BODY):
                incoming = request(**changes, body=body)
                reply = await receiver.receive(incoming)
                shown = f"{incoming!r} {receiver!r} {vars(receiver)} {receiver.stats} {reply} {caplog.text}"
                assert SECRET not in shown
                assert not [encoded for encoded in authorization if encoded in shown]
    assert "<Receiver of <Dispatcher with 0 handlers>, 1 secrets>" == repr(receiver)


# --- the answers --------------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("payload", [sample("opt-out"), {"event": "brand-new"}, {"event": "opt-out", "contact": "?"}])
async def test_an_event_is_answered_with_200(receiver: Receiver, payload: dict[str, Any]) -> None:
    """Known, unknown or surprising, handled or not."""
    reply = await receiver.receive(request(body=json.dumps(payload).encode()))
    assert (200, {"status": "received"}) == (reply.status, told(reply))
    assert header(reply, "content-type") == "application/json"
    assert header(reply, "content-length") == str(len(reply.body))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"method": "GET"}, 405, "webhooks are posted"),
        ({"method": "HEAD"}, 405, "webhooks are posted"),
        ({"method": "post"}, 405, "webhooks are posted"),
        ({"body": b""}, 400, "the body is empty"),
        ({"body": b"{"}, 400, "the body is not JSON (at character 1)"),
        ({"body": b"[]"}, 400, "the body must be a JSON object, not array"),
        ({"body": b"[" * 100_000}, 400, "the body is nested more than 100 levels deep"),
        ({"body": BODY + b" " * 262_144}, 413, "the body is larger than 262144 bytes"),
    ],
)
async def test_what_cannot_be_taken_is_refused(
    receiver: Receiver, seen: list[Any], changes: dict[str, Any], status: int, error: str
) -> None:
    """Each with its status and the reason."""
    reply = await receiver.receive(request(**changes))
    assert (status, {"error": error}) == (reply.status, told(reply))
    assert seen == []
    if status == 405:
        assert header(reply, "allow") == "POST"


@pytest.mark.anyio
async def test_the_largest_body_is_taken_and_one_byte_more_is_not(receiver: Receiver) -> None:
    """`max_body_bytes` is inclusive."""
    full = BODY + b" " * (receiver.max_body_bytes - len(BODY))
    statuses = [(await receiver.receive(request(body=body))).status for body in (full, full + b" ")]
    assert statuses == [200, 413]


@pytest.mark.parametrize(
    ("length", "taken"),
    [
        ("262144", True),
        ("262145", False),
        ("9" * 5_000, False),
        ("", True),
        ("0" * 10_000 + "1", True),
        ("-1", True),
        ("²", True),
        ("x", True),
    ],
)
def test_an_announced_length_is_enough_to_refuse(receiver: Receiver, length: str, taken: bool) -> None:  # noqa: FBT001
    """413 comes before the body is read; a length that is no number is left to the server."""
    reply = receiver.check(request(headers={**basic("", SECRET), "Content-Length": length}, body=b""))
    assert (None if taken else 413) == (reply and reply.status)


@pytest.mark.parametrize(
    ("content_type", "taken"),
    [
        (None, True),
        ("", True),
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/vnd.pidj+json", True),
        ("text/json", True),
        ("text/plain;charset=UTF-8", True),
        ("application/x-www-form-urlencoded", True),
        ("application/octet-stream", True),
        ("multipart/form-data; boundary=x", False),
        ("text/html", False),
        ("application/xml", False),
        ("application/jsonx", False),
        ("nonsense", False),
    ],
)
def test_content_types(receiver: Receiver, content_type: str | None, taken: bool) -> None:  # noqa: FBT001
    """Types that carelessly label JSON are taken, types that never are JSON get a 415."""
    headers = basic("", SECRET) if content_type is None else {**basic("", SECRET), "Content-Type": content_type}
    reply = receiver.check(request(headers=headers))
    assert (None if taken else 415) == (reply and reply.status)


@pytest.mark.parametrize(
    ("coding", "taken"), [("identity", True), ("", True), ("gzip", False), ("br, identity", False)]
)
def test_a_compressed_body_is_refused(receiver: Receiver, coding: str, taken: bool) -> None:  # noqa: FBT001
    """Nothing is ever decompressed, so no small body becomes a large one."""
    reply = receiver.check(request(headers={**basic("", SECRET), "content-encoding": coding}))
    assert (None if taken else 415) == (reply and reply.status)


@pytest.mark.parametrize(
    ("mount", "path", "status"),
    [
        ("/webhooks/pidj", "/webhooks/pidj", None),
        ("/webhooks/pidj", "/webhooks/pidj/", None),
        ("/webhooks/pidj/", "/webhooks/pidj", None),
        ("/webhooks/pidj", f"/webhooks/pidj/{SECRET}", None),
        ("/webhooks/pidj", f"/webhooks/pidj/x/{SECRET}", 404),
        ("/webhooks/pidj", f"/webhooks/pidjx/{SECRET}", 404),
        ("/webhooks/pidj", "/webhooks", 404),
        ("/webhooks/pidj", "/", 404),
        ("/", "/", None),
        ("/", f"/{SECRET}", None),
        ("/", f"/x/{SECRET}", 404),
    ],
)
def test_a_path_may_be_required(mount: str, path: str, status: int | None) -> None:
    """With `path` set, only it and it with the secret behind it are answered."""
    receiver = Receiver(Dispatcher(), secret=SECRET, path=mount)
    reply = receiver.check(request(path=path))
    assert status == (reply and reply.status)


def test_what_comes_first_is_decided_first(receiver: Receiver) -> None:
    """A stranger learns nothing of limits and types: the secret comes before them, the method before the secret."""
    bad = {"content-type": "text/html", "content-length": "9999999"}
    statuses = []
    for changes in (
        {"method": "PUT", "headers": bad},
        {"headers": bad},
        {"headers": {**bad, **basic("", SECRET)}},
        {"headers": {**basic("", SECRET), "content-length": "9999999"}},
    ):
        reply = receiver.check(request(**changes))
        assert reply is not None
        statuses.append(reply.status)
    assert statuses == [405, 401, 415, 413]


@pytest.mark.anyio
async def test_a_failing_handler_asks_for_the_event_again_and_tells_nothing() -> None:
    """500 without any detail: nothing has been stored, so only the sender still has the event."""
    dispatcher = Dispatcher()

    @dispatcher.on(TextReceived)
    async def breaks(event: TextReceived) -> None:
        msg = f"database password is hunter2, {event.message}"
        raise RuntimeError(msg)

    receiver = Receiver(dispatcher, secret=SECRET)
    reply = await receiver.receive(request(body=json.dumps(sample("text-received")).encode()))
    assert (500, {"error": "a handler failed"}) == (reply.status, told(reply))
    assert {500: 1} == receiver.stats.replies


# --- what is counted ----------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_replies_and_events_are_counted(receiver: Receiver) -> None:
    """Each reply once, whether it came before the body or after; each event by its name."""
    for name in ("opt-out", "opt-out", "opt-in"):
        assert receiver.check(request(body=b"")) is None
        await receiver.receive(request(body=json.dumps(sample(name)).encode()))
    receiver.check(request(headers=()))
    await receiver.receive(request(body=b"{}"))
    receiver.body_too_large()
    receiver.body_too_slow()
    assert {200: 3, 400: 1, 401: 1, 408: 1, 413: 1} == receiver.stats.replies
    assert {"opt-out": 2, "opt-in": 1} == receiver.stats.events
    assert receiver.stats.unhandled == 1


@pytest.mark.anyio
async def test_unknown_events_and_fields_are_counted_and_listed(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """By name, place and JSON type, the most frequent first, without any value; the first sighting is logged."""
    with caplog.at_level(logging.WARNING):
        for payload in (
            sample("opt-out", reason="STOP", contact={"nickname": "Jo"}),
            sample("opt-out", reason=None, text={"contact": {"tags": "VIP"}}),
            sample("opt-out", reason="QUIT"),
            {"event": "brand-new", "at": 5},
            {"event": "brand-new", "ok": True, "+18885557777": {}},
            sample("contact-created"),
        ):
            await receiver.receive(request(body=json.dumps(payload).encode()))
    assert (EventShape(name="brand-new", count=2),) == receiver.shapes.unknown_events
    assert _flat(receiver.shapes.unknown_fields[0]) == ("opt-out", "reason", "string", 2)
    assert {
        ("opt-out", "reason", "string", 2),
        ("opt-out", "reason", "null", 1),
        ("opt-out", "contact.nickname", "string", 1),
        ("opt-out", "text.contact.tags", "string", 1),
        ("brand-new", "at", "number", 1),
        ("brand-new", "ok", "boolean", 1),
        ("brand-new", "+188******77", "object", 1),
    } == set(map(_flat, receiver.shapes.unknown_fields))
    ours = [record.getMessage() for record in caplog.records if record.name == "pidj_async.webhooks"]
    assert ours == ["webhook event 'brand-new' is unknown to this version"]


def _flat(shape: FieldShape) -> tuple[str, str, str, int]:
    return (shape.event, shape.path, shape.type, shape.count)


@pytest.mark.anyio
async def test_the_memory_of_strange_names_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever invents a name per event fills a fixed number of places, and the rest is only counted."""
    receiver = Receiver(Dispatcher(), insecure=True)
    monkeypatch.setattr(receiver, "_shapes", ShapeLog(limit=3))
    for number in range(10):
        payload = {"event": f"event-{number}" + "x" * 500, f"field-{number}": 1}
        await receiver.receive(request(headers=(), body=json.dumps(payload).encode()))
    shapes = receiver.shapes
    assert (3, 3, 14) == (len(shapes.unknown_events), len(shapes.unknown_fields), shapes.overflow)
    assert all(len(shape.name) == 100 for shape in shapes.unknown_events)


def test_headers_are_found_whatever_their_case() -> None:
    """Pairs or a mapping; the first of repeated ones counts."""
    pairs = WebhookRequest(method="POST", path="/", headers=[("X-One", "1"), ("x-one", "2")])
    assert pairs.header("x-one") == "1"
    assert pairs.header("x-two") == ""
    assert WebhookRequest(method="POST", path="/", headers={"X-One": "1"}).header("x-one") == "1"
