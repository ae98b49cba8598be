"""The controls: as methods in the test's own process, and over HTTP from any other."""

from __future__ import annotations

import json
import threading
from typing import Any

import httpx
import pytest

from pidj_async.errors import InvalidRequestError
from pidj_async.sandbox import GROUP_ID, GROUP_NUMBER, NUMBERLESS_GROUP_ID, PLAIN_GROUP_ID, PLAIN_GROUP_NUMBER, Sandbox
from pidj_async.sandbox.replies import Refusal
from tests.recorder import Recorded, Recorder
from tests.sandbox.calling import MARIA, Api


def test_receive_text_over_http(api: Api, sandbox: Sandbox) -> None:
    """A person's text can come in by HTTP, to a number, a group, or the first group."""
    events = {"events": ["text-received"]}
    arguments: list[dict[str, str]] = [
        {},
        {"phone_to": PLAIN_GROUP_NUMBER},
        {"group": "sales"},
        {"group": PLAIN_GROUP_ID},
    ]
    for one in arguments:
        assert (200, events) == api.control("POST", "receive-text", phone_from=MARIA, message="Hi", **one)
    texted = [delivery.body["text"]["phone_to"] for delivery in sandbox.deliveries]
    assert [GROUP_NUMBER, PLAIN_GROUP_NUMBER, PLAIN_GROUP_NUMBER, PLAIN_GROUP_NUMBER] == texted


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ({"message": "Hi"}, 400),
        ({"phone_from": "888", "message": "Hi"}, 400),
        ({"phone_from": MARIA, "message": 7}, 400),
        ({"phone_from": 7, "message": "Hi"}, 400),
        ({"phone_from": MARIA, "message": "Hi", "phone_to": "+18885559999"}, 400),
        ({"phone_from": MARIA, "message": "Hi", "phone_to": GROUP_NUMBER, "group": GROUP_ID}, 400),
        ({"phone_from": MARIA, "message": "Hi", "group": NUMBERLESS_GROUP_ID}, 400),
        ({"phone_from": MARIA, "message": "Hi", "group": 7}, 400),
        ({"phone_from": MARIA, "message": "Hi", "group": "Nowhere"}, 422),
        ({"phone_from": MARIA, "message": "Hi", "shoe_size": 9}, 400),
    ],
)
def test_receive_text_refuses(api: Api, sandbox: Sandbox, arguments: dict[str, Any], status: int) -> None:
    """Arguments that are missing, unknown or wrong are refused, and no text comes in."""
    code, answer = api.control("POST", "receive-text", **arguments)
    assert (status, ["error"]) == (code, list(answer))
    assert "+18885559999" not in answer["error"]
    assert () == sandbox.deliveries


def test_looking_over_http(api: Api, sandbox: Sandbox) -> None:
    """Texts, state and deliveries can be read by HTTP, and are what the methods say."""
    contact_id = api.create_contact(home_street_1="1 Main St")
    api.send()
    sandbox.receive_text("+18885554444", "STOP")
    text = {
        "from_number": GROUP_NUMBER,
        "to_number": MARIA,
        "text_body": "Hello",
        "group_id": GROUP_ID,
        "kind": "text",
    }
    assert (200, {"texts": [text]}) == api.control("GET", "texts")
    _, state = api.control("GET", "state")
    assert json.loads(json.dumps(sandbox.state())) == state
    assert (contact_id, "1 Main St") == (state["contacts"][0]["id"], state["contacts"][0]["home_street_1"])
    assert ["+18885554444"] == state["opt_outs"] == list(sandbox.opt_outs)
    _, deliveries = api.control("GET", "deliveries")
    events = ["contact-created", "text-received", "opt-out"]
    assert events == [delivery["event"] for delivery in deliveries["deliveries"]]


def test_consents_in_state(api: Api, sandbox: Sandbox) -> None:
    """Who was asked for consent, and by which group, is part of the state."""
    contact_id = api.create_contact()
    api("POST", "/contact/send-consent-text", contact_id=contact_id, group_id=GROUP_ID)
    expected = [{"contact_id": contact_id, "group_id": GROUP_ID, "consent": "requested"}]
    assert expected == sandbox.state()["consents"]


def test_close_and_restore_over_http(api: Api, sandbox: Sandbox) -> None:
    """Tasks are closed once, and contacts restored once, by HTTP too."""
    task_id = api("POST", "/task/initiate", channel="ticket")["task"]
    contact_id = api.create_contact()
    api("DELETE", f"/contact/{contact_id}")
    assert [200, 422] == [api.control("POST", "close-task", task_id=task_id)[0] for _ in range(2)]
    assert [200, 404] == [api.control("POST", "restore-contact", contact_id=contact_id)[0] for _ in range(2)]
    assert [400, 404] == [api.control("POST", "close-task", task_id=one)[0] for one in (7, "ci:nothing")]
    events = ["contact-created", "contact-deleted", "interaction-closed", "contact-restored"]
    assert events == [delivery.event for delivery in sandbox.deliveries]


def test_restore_onto_a_taken_number(api: Api, sandbox: Sandbox) -> None:
    """A contact whose number was taken meanwhile stays deleted."""
    contact_id = api.create_contact()
    api("DELETE", f"/contact/{contact_id}")
    other_id = api.create_contact()
    with pytest.raises(Refusal, match="Another contact has that phone number"):
        sandbox.restore_contact(contact_id)
    assert other_id == api("GET", api.by_phone(MARIA))["contact"]["id"]


def test_reset_over_http(api: Api, sandbox: Sandbox) -> None:
    """After a reset everything is as it was in the beginning, faults too."""
    before = sandbox.state()
    api.create_contact()
    api.create_user()
    api.send()
    sandbox.receive_text(MARIA, "STOP")
    sandbox.fail_next("messages.send", status=500)
    assert (200, {}) == api.control("POST", "reset")
    assert before == sandbox.state()
    assert ([], ()) == (sandbox.texts, sandbox.deliveries)
    assert 200 == api.send()["code"]


def test_drain_over_http(api: Api) -> None:
    """Draining by HTTP ends when nothing is left; a wait that makes no sense is refused."""
    assert (200, {}) == api.control("POST", "drain")
    assert (200, {}) == api.control("POST", "drain", timeout=0)
    assert [400, 400, 400] == [api.control("POST", "drain", timeout=one)[0] for one in (-1, "soon", True)]


def test_drain_over_http_in_vain(api: Api, sandbox: Sandbox) -> None:
    """A wait that is over before everything is delivered is answered with 504."""
    asked, answered = threading.Event(), threading.Event()

    def hold(_: Recorded) -> tuple[int, dict[str, str], bytes]:
        asked.set()
        assert answered.wait(10)
        return 200, {}, b""

    with Recorder(hold) as listener:
        sandbox.webhook_url = listener.base_url
        sandbox.receive_text(MARIA, "Hello")
        assert asked.wait(10)
        code, answer = api.control("POST", "drain", timeout=0)
        answered.set()
        sandbox.drain_sync()
    assert (504, "1 webhooks are not delivered yet, and 0 s have passed") == (code, answer["error"])


@pytest.mark.parametrize("body", [b"{", b"[]", b'"reset"', b'{"what": 1}'])
def test_controls_refuse_other_bodies(api: Api, body: bytes) -> None:
    """A body that is no object of the control's arguments is refused."""
    response = api.client.post(f"{api.url}/_sandbox/reset", content=body)
    assert (400, {"error": "body: must be empty"}) == (response.status_code, response.json())


def test_unknown_control(api: Api) -> None:
    """There are no other controls, and looking is not changing."""
    assert 404 == api.control("GET", "nothing")[0]
    assert 405 == api.control("GET", "reset")[0]


# -------------------------------------------------------------------------------------------------------------- faults


def test_fail_with_status(api: Api, sandbox: Sandbox) -> None:
    """The next calls of the row fail as they were asked to, others do not, and then it is over."""
    sandbox.fail_next("messages.send", status=429, retry_after=1.5, times=2)
    form = {"to_number": MARIA, "text_body": "Hello", "group_id": GROUP_ID}
    for _ in range(2):
        assert 200 == api("GET", "/groups")["code"]
        response = api.client.post(api.base_url + "/send", data=form)
        assert (429, "1.5") == (response.status_code, response.headers["retry-after"])
        assert (429, "failure") == (response.json()["code"], response.json()["status"])
    assert 200 == api.send()["code"]
    assert 1 == len(sandbox.texts)


def test_faults_in_turn(api: Api, sandbox: Sandbox) -> None:
    """Faults of a row happen in the order they were asked for."""
    sandbox.fail_next("groups.list", status=500)
    sandbox.fail_next("groups.list", status=503)
    sandbox.fail_next("groups.list", status=500)
    statuses = [api.client.get(api.base_url + "/groups").status_code for _ in range(4)]
    assert [500, 503, 500, 200] == statuses


def test_refusal_in_a_200(api: Api, sandbox: Sandbox) -> None:
    """A reply can be a 200 and a refusal: the envelope says failure."""
    sandbox.fail_next("messages.send", status=200)
    form = {"to_number": MARIA, "text_body": "Hello", "group_id": GROUP_ID}
    response = api.client.post(api.base_url + "/send", data=form)
    assert (200, "failure") == (response.status_code, response.json()["status"])
    assert [] == sandbox.texts


@pytest.mark.parametrize("after_acting", [False, True])
def test_drop(api: Api, sandbox: Sandbox, after_acting: bool) -> None:  # noqa: FBT001
    """Hanging up leaves the caller without an answer; whether the call was carried out is for the test to choose."""
    sandbox.fail_next("messages.send", drop=True, after_acting=after_acting)
    with pytest.raises(httpx.RemoteProtocolError, match="disconnected without sending a response"):
        api.send()
    assert (1 if after_acting else 0) == len(sandbox.texts)
    api.send()
    assert (2 if after_acting else 1) == len(sandbox.texts)


def test_status_after_acting(api: Api, sandbox: Sandbox) -> None:
    """A call can be carried out and still be answered with an error."""
    sandbox.fail_next("messages.send", status=500, after_acting=True)
    form = {"to_number": MARIA, "text_body": "Hello", "group_id": GROUP_ID}
    response = api.client.post(api.base_url + "/send", data=form)
    assert (500, "error") == (response.status_code, response.json()["status"])
    assert 1 == len(sandbox.texts)


def test_wrong_credentials_use_no_fault_up(api: Api, sandbox: Sandbox) -> None:
    """A 401 comes before any fault."""
    sandbox.fail_next("groups.list", status=500)
    assert 401 == httpx.get(api.base_url + "/groups", trust_env=False).status_code
    assert 500 == api.client.get(api.base_url + "/groups").status_code


def test_fail_over_http(api: Api, sandbox: Sandbox) -> None:
    """Faults can be asked for by HTTP."""
    assert (200, {}) == api.control("POST", "fail", row_name="groups.list", status=503, times=1)
    assert 503 == api.client.get(api.base_url + "/groups").status_code
    code, answer = api.control("POST", "fail", row_name="groups.lists", status=503)
    assert 400 == code
    assert "messages.send" in answer["error"]
    assert 200 == api("GET", "/groups")["code"]
    assert [] == sandbox.texts


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({}, "status"),
        ({"status": 500, "drop": True}, "status"),
        ({"status": 302}, "status"),
        ({"status": 204}, "status"),
        ({"status": 599}, "status"),
        ({"status": "500"}, "status"),
        ({"status": True}, "status"),
        ({"status": 429, "retry_after": -1}, "retry_after"),
        ({"status": 429, "retry_after": "soon"}, "retry_after"),
        ({"status": 429, "retry_after": float("nan")}, "retry_after"),
        ({"drop": True, "retry_after": 1}, "retry_after"),
        ({"status": 500, "times": 0}, "times"),
        ({"status": 500, "times": 1.5}, "times"),
        ({"drop": "yes"}, "drop"),
        ({"status": 500, "after_acting": 1}, "after_acting"),
    ],
)
def test_fail_next_refuses(sandbox: Sandbox, arguments: dict[str, Any], field: str) -> None:
    """A fault that makes no sense is refused, and the error names the argument."""
    with pytest.raises(InvalidRequestError) as caught:
        sandbox.fail_next("messages.send", **arguments)
    assert field == caught.value.field
