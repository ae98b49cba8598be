"""What each call does, as the vendor's document has it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from pidj_async.sandbox import (
    EXEMPT_GROUP_ID,
    GROUP_ID,
    GROUP_NUMBER,
    NUMBERLESS_GROUP_ID,
    PLAIN_GROUP_ID,
    PLAIN_GROUP_NUMBER,
    SERIES_ID,
    SURVEY_ID,
    Sandbox,
    SentText,
)
from tests.sandbox.calling import MARIA, Api

NOBODY = "00000000-0000-5000-8000-00000000dead"
OTHER = "+18885554444"


def contact_values(sandbox: Sandbox) -> dict[str, Any]:
    """The only contact, with what the API does not show."""
    (contact,) = sandbox.state()["contacts"]
    return dict(contact)


def user_values(sandbox: Sandbox) -> dict[str, Any]:
    (user,) = sandbox.state()["users"]
    return dict(user)


# --------------------------------------------------------------------------------------------------------------- texts


def test_send_by_group_id(api: Api, sandbox: Sandbox) -> None:
    """A text goes from the group's number, and the reply is the document's."""
    assert {"code": 200, "status": "success", "message": "Text sent."} == api.send()
    sent = SentText(from_number=GROUP_NUMBER, to_number=MARIA, text_body="Hello", group_id=GROUP_ID)
    assert [sent] == sandbox.texts


def test_send_by_from_number(api: Api, sandbox: Sandbox) -> None:
    """The number decides which group a text is from."""
    api("POST", "/send", to_number=MARIA, text_body="Hello", from_number=PLAIN_GROUP_NUMBER)
    assert [PLAIN_GROUP_ID] == [text.group_id for text in sandbox.texts]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"to_number": ""}, (400, "failure", "Missing: to_number.")),
        ({"text_body": " "}, (400, "failure", "Missing: text_body.")),
        ({"group_id": ""}, (400, "failure", "Give exactly one of from_number and group_id.")),
        ({"from_number": GROUP_NUMBER}, (400, "failure", "Give exactly one of from_number and group_id.")),
        ({"group_id": "co:1"}, (400, "failure", "group_id must be the id of a group, which begins with 'gr:'.")),
        ({"group_id": f"gr:{NOBODY}"}, (404, "error", "Group not found.")),
        (
            {"group_id": GROUP_ID.upper()},
            (400, "failure", "group_id must be the id of a group, which begins with 'gr:'."),
        ),
        (
            {"group_id": NUMBERLESS_GROUP_ID},
            (422, "failure", "The group has no phone number; the message was not sent."),
        ),
        (
            {"group_id": "", "from_number": "+18885559999"},
            (422, "failure", "from_number is not an active number of one of your groups."),
        ),
    ],
)
def test_send_refuses(api: Api, sandbox: Sandbox, change: dict[str, str], expected: tuple[int, str, str]) -> None:
    """What is missing, contradictory, malformed or unknown is refused, and nothing is sent."""
    form = {"to_number": MARIA, "text_body": "Hello", "group_id": GROUP_ID, **change}
    assert expected == api.refused("POST", "/send", **form)
    assert [] == sandbox.texts


@pytest.mark.parametrize("number", ["8885553333", "18885553333", "+1 888 555 3333", "+0123456789", "+1234567890123456"])
def test_send_wants_e164(api: Api, sandbox: Sandbox, number: str) -> None:
    """A number that is not in E.164 is refused."""
    code, status, message = api.refused("POST", "/send", to_number=number, text_body="Hello", group_id=GROUP_ID)
    assert (400, "failure") == (code, status)
    assert message.startswith("to_number must be in E.164 format")
    assert [] == sandbox.texts


def test_send_truncates(api: Api, sandbox: Sandbox) -> None:
    """A text of more than 1,600 characters is cut off, not refused."""
    api.send(text_body="x" * 1_600 + "y")
    assert ["x" * 1_600] == [text.text_body for text in sandbox.texts]


def test_send_to_an_opted_out_number(api: Api, sandbox: Sandbox) -> None:
    """Who has opted out gets no text, from no group."""
    sandbox.receive_text(MARIA, "STOP")
    for group_id in (GROUP_ID, PLAIN_GROUP_ID):
        refusal = api.refused("POST", "/send", to_number=MARIA, text_body="Hello", group_id=group_id)
        assert (422, "failure", "The recipient has opted out.") == refusal
    assert [] == sandbox.texts


def test_send_creates_no_contact(api: Api, sandbox: Sandbox) -> None:
    """Texting a number that is no contact does not make it one."""
    api.send()
    assert [] == sandbox.state()["contacts"]


# --------------------------------------------------------------------------------------------------------------- tasks


def test_initiate_task(api: Api, sandbox: Sandbox) -> None:
    """A task gets an id of its own kind, under the key `task`."""
    envelope = api("POST", "/task/initiate", channel="ticket", group_id=GROUP_ID, subject="Leak", name="Maria")
    task_id = envelope["task"]
    assert {"code": 200, "status": "success", "task": task_id} == envelope
    assert task_id.startswith("ci:")
    (task,) = sandbox.state()["tasks"]
    expected = {
        "id": task_id,
        "channel": "ticket",
        "group_id": GROUP_ID,
        "closed": False,
        "subject": "Leak",
        "name": "Maria",
    }
    assert expected == task


def test_initiate_task_topic(api: Api, sandbox: Sandbox) -> None:
    """Of a topic HTML is not shown, and what is more than 3,200 characters is cut off."""
    api("POST", "/task/initiate", channel="ticket", topic="<b>Water</b> 1 < 2 " + "x" * 4_000)
    (task,) = sandbox.state()["tasks"]
    assert ("Water 1 < 2 " + "x" * 4_000)[:3_200] == task["topic"]


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({}, 400),
        ({"channel": "email"}, 400),
        ({"channel": "ticket", "group_id": f"gr:{NOBODY}"}, 404),
        ({"channel": "ticket", "phone_number": "888"}, 400),
    ],
)
def test_initiate_task_refuses(api: Api, sandbox: Sandbox, form: dict[str, str], code: int) -> None:
    """A task without a known channel, in an unknown group, or with a wrong number is not created."""
    assert code == api.refused("POST", "/task/initiate", **form)[0]
    assert [] == sandbox.state()["tasks"]


# --------------------------------------------------------------------------------------------------------------- users


def test_create_and_get_user(api: Api) -> None:
    """A user comes back with the document's fields; what was not given is blank."""
    envelope = api("POST", "/user", username="maria", password="pw", first_name="Maria", roles="admin|agent")
    assert ("User created.", "us:") == (envelope["message"], envelope["id"][:3])
    expected = {
        "first_name": "Maria",
        "last_name": "",
        "business_name": "",
        "display_name": "",
        "email_address": "",
        "phone_number": "",
        "tags": [],
        "username": "maria",
        "roles": ["admin", "agent"],
        "external_id": "",
    }
    assert {"code": 200, "status": "success", "user": expected} == api("GET", f"/user/{envelope['id']}")


def test_create_user_twice(api: Api, sandbox: Sandbox) -> None:
    """A user name that is taken is an error, also if its user was deleted, and nothing is created."""
    user_id = api.create_user()
    taken = (422, "error", "That username is already taken.")
    assert taken == api.refused("POST", "/user", username="maria", password="x")
    api("DELETE", f"/user/{user_id}")
    assert taken == api.refused("POST", "/user", username="maria", password="x")
    assert 1 == len(sandbox.state()["users"])


def test_user_groups(api: Api, sandbox: Sandbox) -> None:
    """Groups are named in any case, or by their ids, and joined by pipes."""
    api.create_user(groups=f"fronT Desk|{EXEMPT_GROUP_ID}")
    assert [GROUP_ID, EXEMPT_GROUP_ID] == list(user_values(sandbox)["group_ids"])


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"roles": "admin|owner"}, 400),
        ({"groups": "Nowhere"}, 422),
        ({"groups": GROUP_ID.replace("gr:", "GR:")}, 422),
        ({"timezone": "america/denver"}, 400),
        ({"phone_number": "888"}, 400),
        ({"email_address": "maria"}, 400),
        ({"password": ""}, 400),
    ],
)
def test_create_user_refuses(api: Api, sandbox: Sandbox, form: dict[str, str], code: int) -> None:
    """A wrong role, group, time zone, number or address, or no password: no user."""
    assert code == api.refused("POST", "/user", **{"username": "maria", "password": "x", **form})[0]
    assert [] == sandbox.state()["users"]


def test_user_timezone(api: Api, sandbox: Sandbox) -> None:
    """The time zone is the account's if none is given, and again if it is cleared."""
    user_id = api.create_user()
    assert "America/Denver" == user_values(sandbox)["timezone"]
    api("PUT", f"/user/{user_id}", timezone="America/Chicago")
    assert "America/Chicago" == user_values(sandbox)["timezone"]
    api("PUT", f"/user/{user_id}", timezone="")
    assert "America/Denver" == user_values(sandbox)["timezone"]


def test_update_user(api: Api, sandbox: Sandbox) -> None:
    """A blank field is cleared, an omitted one stays, and the user name is not for changing."""
    user_id = api.create_user(first_name="Maria", last_name="Alvarez", roles="admin", groups="Sales")
    form = {"first_name": "", "roles": "agent|agent", "groups": "", "username": "other", "password": "new"}
    assert {"code": 200, "status": "success"} == api("PUT", f"/user/{user_id}", **form)
    expected = {
        "id": user_id,
        "username": "maria",
        "last_name": "Alvarez",
        "roles": ["agent"],
        "group_ids": [],
        "timezone": "America/Denver",
        "paused": False,
        "deleted": False,
    }
    assert expected == {name: list(v) if isinstance(v, tuple) else v for name, v in user_values(sandbox).items()}


def test_update_user_is_all_or_nothing(api: Api) -> None:
    """An update with an unknown group changes nothing, and a password cannot be cleared."""
    user_id = api.create_user(first_name="Maria")
    assert 422 == api.refused("PUT", f"/user/{user_id}", first_name="Jo", groups="Nowhere")[0]
    assert (400, "failure", "password cannot be blank.") == api.refused("PUT", f"/user/{user_id}", password="")
    assert "Maria" == api("GET", f"/user/{user_id}")["user"]["first_name"]


def test_password_is_not_kept(api: Api, sandbox: Sandbox) -> None:
    """A password is nowhere in the world."""
    api.create_user()
    assert "pass word" not in repr(sandbox.state())


def test_deleted_user(api: Api) -> None:
    """Nothing but recovering works on a deleted user, and then everything is as it was."""
    user_id = api.create_user(first_name="Maria")
    assert {"code": 200, "status": "success"} == api("DELETE", f"/user/{user_id}")
    for method, path in (
        ("GET", ""),
        ("PUT", ""),
        ("DELETE", ""),
        ("POST", "/pause"),
        ("POST", "/unpause"),
    ):
        assert (404, "error", "User not found.") == api.refused(method, f"/user/{user_id}{path}")
    assert 404 == api.refused("POST", "/sso/url", user_uuid=user_id)[0]
    assert {"code": 200, "status": "success"} == api("PUT", f"/user/{user_id}/recover")
    assert "Maria" == api("GET", f"/user/{user_id}")["user"]["first_name"]


def test_recover_twice(api: Api) -> None:
    """Recovering a user who is there is no error; recovering nobody is."""
    user_id = api.create_user()
    assert 200 == api("PUT", f"/user/{user_id}/recover")["code"]
    assert 404 == api.refused("PUT", f"/user/us:{NOBODY}/recover")[0]


def test_pause(api: Api, sandbox: Sandbox) -> None:
    """Pausing and unpausing say what the user is now, however often."""
    user_id = api.create_user()
    calls = [("pause", True), ("pause", True), ("unpause", False), ("unpause", False)]
    for call, paused in calls:
        expected = {"code": 200, "status": "success", "paused": paused}
        assert expected == api("POST", f"/user/{user_id}/{call}")
        assert paused is user_values(sandbox)["paused"]


# ----------------------------------------------------------------------------------------------------------------- sso


@pytest.fixture
def browser() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False) as browser:
        yield browser


def test_sso_url(api: Api, browser: httpx.Client) -> None:
    """A sign-on URL is made for a user by either id, and leads on to where it was told."""
    user_id = api.create_user(external_id="crm-7")
    target = "https://example.com/inbox?a=1"
    encoded = base64.b64encode(target.encode()).decode()
    for by in ({"user_uuid": user_id}, {"external_id": "crm-7"}):
        envelope = api("POST", "/sso/url", **by, next=encoded)
        assert {"code", "status", "url"} == envelope.keys()
        response = browser.get(envelope["url"])
        assert (302, target) == (response.status_code, response.headers["location"])


def test_sso_url_without_next(api: Api, browser: httpx.Client) -> None:
    """Without a target it leads back to the page it was opened from, if there is one."""
    url = api("POST", "/sso/url", user_uuid=api.create_user())["url"]
    back = browser.get(url, headers={"Referer": "https://example.com/start"})
    assert "https://example.com/start" == back.headers["location"]
    assert "Signed in as maria.\n" == browser.get(url).text
    assert 404 == browser.get(url + "x").status_code


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({}, 400),
        ({"user_uuid": "us:1", "external_id": "1"}, 400),
        ({"user_uuid": f"us:{NOBODY}"}, 404),
        ({"external_id": "nobody"}, 404),
        ({"external_id": "crm-7", "next": "https://example.com/"}, 400),
        ({"external_id": "crm-7", "next": base64.b64encode(b"/inbox").decode()}, 400),
        ({"external_id": "crm-7", "next": base64.b64encode(b"\xff").decode()}, 400),
    ],
)
def test_sso_url_refuses(api: Api, form: dict[str, str], code: int) -> None:
    """There must be such a user, and the target must be an absolute URL in Base64."""
    api.create_user(external_id="crm-7")
    assert code == api.refused("POST", "/sso/url", **form)[0]


# ------------------------------------------------------------------------------------------------------------ contacts


def test_create_and_get_contact(api: Api) -> None:
    """A contact is found by id and by number, with the fields of the vendor's sample."""
    envelope = api("POST", "/contact", phone_number=MARIA, first_name="Maria", external_id="crm-7")
    contact_id = envelope["id"]
    assert {"code": 200, "status": "success", "id": contact_id, "message": "Contact created."} == envelope
    expected = {
        "id": contact_id,
        "first_name": "Maria",
        "last_name": "",
        "business_name": "",
        "display_name": "",
        "email_address": "",
        "phone_number": MARIA,
        "phone_office": None,
        "phone_fax": None,
        "timezone": "America/Denver",
        "tags": [],
        "external_id": "crm-7",
    }
    assert {"code": 200, "status": "success", "contact": expected} == api("GET", f"/contact/{contact_id}")
    assert expected == api("GET", api.by_phone(MARIA))["contact"]
    assert [expected] == api("GET", "/contacts")["contacts"]


def test_create_contact_twice(api: Api) -> None:
    """A number on record: nothing is done, and the answer names the contact that has it."""
    contact_id = api.create_contact(first_name="Maria")
    envelope = api("POST", "/contact", phone_number=MARIA, first_name="Jo")
    assert (contact_id, "Contact already exists.") == (envelope["id"], envelope["message"])
    assert "Maria" == api.contact(contact_id)["first_name"]


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"phone_number": ""}, 400),
        ({"phone_number": "888"}, 400),
        ({"timezone": "Mars/Olympus"}, 400),
        ({"group": "Nowhere"}, 422),
        ({"home_postal": "123"}, 400),
        ({"home_street_1": "x" * 201}, 400),
        ({"business_city": "x" * 201}, 400),
    ],
)
def test_create_contact_refuses(api: Api, sandbox: Sandbox, form: dict[str, str], code: int) -> None:
    """What is missing, malformed, too long or unknown: no contact, and no webhook."""
    assert code == api.refused("POST", "/contact", **{"phone_number": MARIA, **form})[0]
    assert [] == sandbox.state()["contacts"]
    assert () == sandbox.deliveries


def test_contact_group(api: Api, sandbox: Sandbox) -> None:
    """A contact's group is named in any case or by its id, and can be cleared."""
    contact_id = api.create_contact(group="SALES")
    assert PLAIN_GROUP_ID == contact_values(sandbox)["group_id"]
    api("PUT", f"/contact/{contact_id}", group=GROUP_ID)
    assert GROUP_ID == contact_values(sandbox)["group_id"]
    api("PUT", f"/contact/{contact_id}", group="")
    assert contact_values(sandbox)["group_id"] is None


def test_address_discards(api: Api, sandbox: Sandbox) -> None:
    """A state or country that is none is silently discarded."""
    api.create_contact(home_state="Utah", home_country="Elbonia", home_city="Provo", business_state="UT")
    values = contact_values(sandbox)
    shown = {name: value for name, value in values.items() if name.startswith(("home", "business"))}
    assert {"home_city": "Provo", "business_state": "UT"} == shown


def test_address_lookup(api: Api, sandbox: Sandbox) -> None:
    """A street and a postal code fill in the rest; what was given with them stays, and neither alone does anything."""
    contact_id = api.create_contact(home_postal="84101", business_street_1="1 Main St")
    assert "home_city" not in contact_values(sandbox)
    api("PUT", f"/contact/{contact_id}", home_street_1="1 Main St", home_postal="84101", home_city="Big City")
    values = contact_values(sandbox)
    assert ("Big City", "UT", "US") == (values["home_city"], values["home_state"], values["home_country"])
    assert "business_city" not in values


def test_update_contact(api: Api) -> None:
    """A blank field is cleared, an omitted one stays, and the external id is not for changing."""
    contact_id = api.create_contact(first_name="Maria", last_name="Alvarez", external_id="crm-7")
    changed = api("PUT", f"/contact/{contact_id}", first_name="", email_address="m@example.com", external_id="other")
    assert {"code": 200, "status": "success"} == changed
    contact = api.contact(contact_id)
    shown = [contact[name] for name in ("first_name", "last_name", "email_address", "external_id")]
    assert ["", "Alvarez", "m@example.com", "crm-7"] == shown


def test_update_contact_number(api: Api) -> None:
    """A new number replaces the old one everywhere; another contact's is refused; a cleared one is free again."""
    contact_id = api.create_contact(first_name="Maria")
    api.create_contact(OTHER)
    taken = api.refused("PUT", f"/contact/{contact_id}", phone_number=OTHER, first_name="Jo")
    assert (422, "failure", "Another contact has that phone number.") == taken
    assert "Maria" == api.contact(contact_id)["first_name"]

    api("PUT", f"/contact/{contact_id}", phone_number="+18885555555")
    assert 404 == api.refused("GET", api.by_phone(MARIA))[0]
    assert contact_id == api("GET", api.by_phone("+18885555555"))["contact"]["id"]

    api("PUT", f"/contact/{contact_id}", phone_number="")
    assert "" == api.contact(contact_id)["phone_number"]
    assert contact_id != api.create_contact("+18885555555")


def test_delete_contact(api: Api) -> None:
    """A deleted contact is gone for good; its number is free for a new one with an id of its own."""
    contact_id = api.create_contact()
    assert {"code": 200, "status": "success"} == api("DELETE", f"/contact/{contact_id}")
    for method in ("GET", "PUT", "DELETE"):
        assert (404, "error", "Contact not found.") == api.refused(method, f"/contact/{contact_id}")
    assert 404 == api.refused("GET", api.by_phone(MARIA))[0]
    assert [] == api("GET", "/contacts")["contacts"]
    assert contact_id != api.create_contact()


def test_by_phone_wants_e164(api: Api) -> None:
    """A number without its plus is told from a number that nobody has."""
    assert 400 == api.refused("GET", "/contact/by-phone/18885553333")[0]
    assert 404 == api.refused("GET", api.by_phone(MARIA))[0]


# ------------------------------------------------------------------------------------------------------------- consent


def check(api: Api, contact_id: str, group_id: str) -> tuple[bool, str | None]:
    envelope = api("GET", f"/contact/{contact_id}/{group_id}/check-consent")
    return envelope["needed"], envelope.get("message")


def test_consent_asked_once(api: Api, sandbox: Sandbox) -> None:
    """Consent is needed until it was asked for, and asked for once."""
    contact_id = api.create_contact()
    assert (True, None) == check(api, contact_id, GROUP_ID)
    form = {"contact_id": contact_id, "group_id": GROUP_ID}
    assert {"code": 200, "status": "success"} == api("POST", "/contact/send-consent-text", **form)
    assert (False, "Consent already requested.") == check(api, contact_id, GROUP_ID)
    refusal = api.refused("POST", "/contact/send-consent-text", **form)
    assert (422, "failure", "Consent already requested.") == refusal
    assert [("consent", MARIA)] == [(text.kind, text.to_number) for text in sandbox.texts]


def test_consent_given(api: Api, sandbox: Sandbox) -> None:
    """YES to the group that asked gives consent; to another group it does not."""
    contact_id = api.create_contact()
    api("POST", "/contact/send-consent-text", contact_id=contact_id, group_id=GROUP_ID)
    assert ("text-received",) == sandbox.receive_text(MARIA, "YES", phone_to=PLAIN_GROUP_NUMBER)
    assert ("text-received", "consent-given") == sandbox.receive_text(MARIA, " yes ", group="Front Desk")
    assert (False, "Consent already given.") == check(api, contact_id, GROUP_ID)


@pytest.mark.parametrize(
    ("group_id", "reason"),
    [
        (PLAIN_GROUP_ID, "Consent is not set up for this group."),
        (EXEMPT_GROUP_ID, "This group is exempt from consent."),
    ],
)
def test_consent_not_needed(api: Api, sandbox: Sandbox, group_id: str, reason: str) -> None:
    """Where consent is not set up, or the group is exempt, nobody is asked."""
    contact_id = api.create_contact()
    assert (False, reason) == check(api, contact_id, group_id)
    refusal = api.refused("POST", "/contact/send-consent-text", contact_id=contact_id, group_id=group_id)
    assert (422, "failure", reason) == refusal
    assert [] == sandbox.texts


def test_consent_cannot_be_asked_for(api: Api, sandbox: Sandbox) -> None:
    """Without a number on either side, or after STOP, the question is refused and stays due."""
    contact_id = api.create_contact()

    def ask(group_id: str) -> tuple[int, str, str]:
        return api.refused("POST", "/contact/send-consent-text", contact_id=contact_id, group_id=group_id)

    assert 422 == ask(NUMBERLESS_GROUP_ID)[0]
    sandbox.receive_text(MARIA, "STOP")
    assert (422, "failure", "The recipient has opted out.") == ask(GROUP_ID)
    api("PUT", f"/contact/{contact_id}", phone_number="")
    assert (422, "failure", "The contact has no phone number.") == ask(GROUP_ID)
    assert (True, None) == check(api, contact_id, GROUP_ID)


def test_consent_of_nobody(api: Api) -> None:
    """There must be such a contact and such a group."""
    contact_id = api.create_contact()
    assert 404 == api.refused("GET", f"/contact/co:{NOBODY}/{GROUP_ID}/check-consent")[0]
    assert 404 == api.refused("GET", f"/contact/{contact_id}/gr:{NOBODY}/check-consent")[0]
    form = {"contact_id": f"co:{NOBODY}", "group_id": GROUP_ID}
    assert 404 == api.refused("POST", "/contact/send-consent-text", **form)[0]


# ------------------------------------------------------------------------------------------------ series, surveys, rest


def test_lists(api: Api) -> None:
    """Groups, series and surveys are listed in the document's shapes."""
    front_desk = {"name": "Front desk", "group_id": GROUP_ID, "phone_number": GROUP_NUMBER, "color": "#2e7d32"}
    groups = api("GET", "/groups")["groups"]
    assert front_desk == groups[0]
    assert {"name": "Back office", "group_id": NUMBERLESS_GROUP_ID, "phone_number": None, "color": None} == groups[-1]
    series = {"name": "Welcome", "series_id": SERIES_ID, "groups": [GROUP_ID, PLAIN_GROUP_ID]}
    assert [series] == api("GET", "/series")["series"]
    assert [{"name": "How did we do?", "survey_id": SURVEY_ID}] == api("GET", "/surveys")["surveys"]


def test_subscribe_creates_the_contact(api: Api, sandbox: Sandbox) -> None:
    """Subscribing a number makes it a contact, once; subscribing that contact uses it."""
    form = {"series_id": SERIES_ID, "timezone": "America/Chicago", "group_id": GROUP_ID}
    envelope = api("POST", "/series/subscribe", **form, to_number=MARIA)
    assert {"code": 200, "status": "success", "message": "Series subscribe."} == envelope
    contact_id = contact_values(sandbox)["id"]
    api("POST", "/series/subscribe", **form, contact_id=contact_id)
    subscription = {
        "series_id": SERIES_ID,
        "contact_id": contact_id,
        "group_id": GROUP_ID,
        "timezone": "America/Chicago",
    }
    assert [subscription, subscription] == sandbox.state()["subscriptions"]
    assert ["contact-created"] == [delivery.event for delivery in sandbox.deliveries]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"series_id": f"ts:{NOBODY}"}, 404),
        ({"series_id": SURVEY_ID}, 400),
        ({"timezone": ""}, 400),
        ({"to_number": ""}, 400),
        ({"contact_id": "co:1"}, 400),
        ({"to_number": "", "contact_id": f"co:{NOBODY}"}, 404),
        ({"group_id": NUMBERLESS_GROUP_ID}, 422),
        ({"to_number": OTHER}, 422),
    ],
)
def test_subscribe_refuses(api: Api, sandbox: Sandbox, change: dict[str, str], code: int) -> None:
    """Nobody is subscribed, and nobody becomes a contact, by a request that is refused."""
    sandbox.receive_text(OTHER, "STOP")
    form = {"series_id": SERIES_ID, "timezone": "America/Chicago", "group_id": GROUP_ID, "to_number": MARIA, **change}
    assert code == api.refused("POST", "/series/subscribe", **form)[0]
    assert ([], []) == (sandbox.state()["subscriptions"], sandbox.state()["contacts"])


def test_initiate_survey(api: Api, sandbox: Sandbox) -> None:
    """A survey begins with its introduction and its first question, and makes nobody a contact."""
    form = {"survey_id": SURVEY_ID, "to_number": MARIA, "from_number": GROUP_NUMBER}
    assert "Survey initiated." == api("POST", "/survey/initiate", **form)["message"]
    texts = [(text.kind, text.to_number, text.text_body) for text in sandbox.texts]
    expected = [("survey", MARIA, "Thank you for your visit."), ("survey", MARIA, "How many stars, 1 to 5?")]
    assert expected == texts
    assert [] == sandbox.state()["contacts"]


@pytest.mark.parametrize(
    ("change", "code"),
    [({"survey_id": f"sv:{NOBODY}"}, 404), ({"contact_id": "co:1"}, 400), ({"to_number": OTHER}, 422)],
)
def test_initiate_survey_refuses(api: Api, sandbox: Sandbox, change: dict[str, str], code: int) -> None:
    """No survey goes out by a request that is refused."""
    sandbox.receive_text(OTHER, "STOP")
    form = {"survey_id": SURVEY_ID, "to_number": MARIA, "group_id": GROUP_ID, **change}
    assert code == api.refused("POST", "/survey/initiate", **form)[0]
    assert [] == sandbox.texts


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_check_authorization(api: Api, method: str) -> None:
    """The credentials can be checked with either verb."""
    expected = {"code": 200, "status": "success", "message": "Authorization successful."}
    assert expected == api(method, "/authorization-check")
