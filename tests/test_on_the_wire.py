"""What each call puts on the wire, written down by a server that does not share a line with the client."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from attrs import frozen

from pidj_async import Pidj
from pidj_async.endpoints import TABLE
from pidj_async.transports import TransportName
from tests.carriers import EVERY_TRANSPORT
from tests.recorder import Recorded, Recorder

pytestmark = pytest.mark.anyio

CONTACT = "co:8b9ac71a-2b2a-50fd-9280-5c51a9dp1fd8"
USER = "us:a33a8313-8uq7-25aq-366z-49332atkelb2"
GROUP = "gr:04207209-7f61-5801-a3bd-958ecff19f77"
SERIES = "ts:z81de899-207k-8ej4-ba5q-046zb73gte74"
SURVEY = "sv:z81de899-207k-8ej4-ba5q-046zb73gte74"
GROUP_FORM = "gr%3A04207209-7f61-5801-a3bd-958ecff19f77"

FORM = "application/x-www-form-urlencoded"

# The replies are hand-made too: one that fits any call.
ANYTHING = (
    b'{"code":200,"status":"success","message":"m","id":"x:1","task":"ci:1","url":"https://x","needed":false,'
    b'"user":{},"contact":{},"contacts":[],"groups":[],"series":[],"surveys":[],"paused":true}'
)


@frozen
class Case:
    name: str
    call: Callable[[Pidj], Awaitable[Any]]
    method: str
    path: str
    body: str = ""


CASES = [
    Case(
        "messages.send",
        lambda p: p.messages.send(to_number="+18885553333", text_body="Hi & welcome: 100% ☕", group_id=GROUP),
        "POST",
        "/send",
        f"to_number=%2B18885553333&text_body=Hi+%26+welcome%3A+100%25+%E2%98%95&group_id={GROUP_FORM}",
    ),
    Case(
        "tasks.initiate",
        lambda p: p.tasks.initiate(
            channel="ticket",
            group_id=GROUP,
            subject="Printer",
            topic="It is\non fire",
            name="Jo",
            email_address="jo@example.com",
            phone_number="+18885553333",
        ),
        "POST",
        "/task/initiate",
        f"channel=ticket&group_id={GROUP_FORM}&subject=Printer&topic=It+is%0Aon+fire&name=Jo"
        "&email_address=jo%40example.com&phone_number=%2B18885553333",
    ),
    Case("users.get", lambda p: p.users.get(USER), "GET", f"/user/{USER}"),
    Case(
        "users.create",
        lambda p: p.users.create(
            username="jo",
            password="p&=+ w",
            roles=["admin", "agent"],
            groups=["Sales", GROUP],
            timezone="America/Denver",
        ),
        "POST",
        "/user",
        f"username=jo&password=p%26%3D%2B+w&roles=admin%7Cagent&groups=Sales%7C{GROUP_FORM}&timezone=America%2FDenver",
    ),
    Case(
        "users.update",
        lambda p: p.users.update(USER, first_name="Jo", email_address=None, roles=["manager"]),
        "PUT",
        f"/user/{USER}",
        "email_address=&first_name=Jo&roles=manager",
    ),
    Case("users.delete", lambda p: p.users.delete(USER), "DELETE", f"/user/{USER}"),
    Case("users.recover", lambda p: p.users.recover(USER), "PUT", f"/user/{USER}/recover"),
    Case("users.pause", lambda p: p.users.pause(USER), "POST", f"/user/{USER}/pause"),
    Case("users.unpause", lambda p: p.users.unpause(USER), "POST", f"/user/{USER}/unpause"),
    Case(
        "sso.create_url",
        lambda p: p.sso.create_url(external_id="e-1", next="https://example.com/a?b=c"),
        "POST",
        "/sso/url",
        "external_id=e-1&next=aHR0cHM6Ly9leGFtcGxlLmNvbS9hP2I9Yw%3D%3D",
    ),
    Case("contacts.get", lambda p: p.contacts.get(CONTACT), "GET", f"/contact/{CONTACT}"),
    Case(
        "contacts.get_by_phone",
        lambda p: p.contacts.get_by_phone("+18015551111"),
        "GET",
        "/contact/by-phone/%2B18015551111",
    ),
    Case(
        "contacts.create",
        lambda p: p.contacts.create(
            phone_number="+18015551111",
            first_name="Jo",
            group="Sales",
            external_id="e-1",
            home_street_1="1 Main St",
            home_state="UT",
            home_postal="84101-1234",
            business_country="CAN",
        ),
        "POST",
        "/contact",
        "phone_number=%2B18015551111&first_name=Jo&group=Sales&external_id=e-1&home_street_1=1+Main+St&home_state=UT"
        "&home_postal=84101-1234&business_country=CAN",
    ),
    Case(
        "contacts.update",
        lambda p: p.contacts.update(CONTACT, first_name="Jo", email_address=None),
        "PUT",
        f"/contact/{CONTACT}",
        "email_address=&first_name=Jo",
    ),
    Case("contacts.delete", lambda p: p.contacts.delete(CONTACT), "DELETE", f"/contact/{CONTACT}"),
    Case(
        "contacts.send_consent_text",
        lambda p: p.contacts.send_consent_text(CONTACT, GROUP),
        "POST",
        "/contact/send-consent-text",
        f"contact_id=co%3A8b9ac71a-2b2a-50fd-9280-5c51a9dp1fd8&group_id={GROUP_FORM}",
    ),
    Case(
        "contacts.check_consent",
        lambda p: p.contacts.check_consent(CONTACT, GROUP),
        "GET",
        f"/contact/{CONTACT}/{GROUP}/check-consent",
    ),
    Case("contacts.list", lambda p: p.contacts.list(), "GET", "/contacts"),
    Case("groups.list", lambda p: p.groups.list(), "GET", "/groups"),
    Case(
        "series.subscribe",
        lambda p: p.series.subscribe(
            SERIES, timezone="America/Denver", to_number="+18885553333", from_number="+18885552222"
        ),
        "POST",
        "/series/subscribe",
        "series_id=ts%3Az81de899-207k-8ej4-ba5q-046zb73gte74&timezone=America%2FDenver&to_number=%2B18885553333"
        "&from_number=%2B18885552222",
    ),
    Case("series.list", lambda p: p.series.list(), "GET", "/series"),
    Case(
        "surveys.initiate",
        lambda p: p.surveys.initiate(SURVEY, contact_id=CONTACT, group_id=GROUP),
        "POST",
        "/survey/initiate",
        "survey_id=sv%3Az81de899-207k-8ej4-ba5q-046zb73gte74&contact_id=co%3A8b9ac71a-2b2a-50fd-9280-5c51a9dp1fd8"
        f"&group_id={GROUP_FORM}",
    ),
    Case("surveys.list", lambda p: p.surveys.list(), "GET", "/surveys"),
    Case("check_authorization", lambda p: p.check_authorization(), "GET", "/authorization-check"),
]


async def record(call: Callable[[Pidj], Awaitable[Any]], transport: TransportName = "auto") -> Recorded:
    with Recorder(lambda _: (200, {}, ANYTHING)) as recorder:
        async with Pidj(account_key="key", token="the:token", base_url=recorder.base_url, transport=transport) as pidj:
            await call(pidj)
        (recorded,) = recorder.requests
    return recorded


def test_the_cases_are_all_calls_of_the_api() -> None:
    """There is a case for each of the 24 calls, and for nothing else."""
    assert [row.name for row in TABLE] == [case.name for case in CASES]
    assert len(CASES) == 24


@pytest.mark.parametrize(("transport", "anyio_backend"), EVERY_TRANSPORT)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_each_call_is_written_exactly(case: Case, transport: TransportName) -> None:
    """Method, path and form body are what the vendor's document asks for, to the byte."""
    recorded = await record(case.call, transport)

    assert (recorded.method, recorded.path, recorded.body.decode()) == (
        case.method,
        "/api/2020" + case.path,
        case.body,
    )


@pytest.mark.parametrize(("transport", "anyio_backend"), EVERY_TRANSPORT)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_each_call_authenticates_and_names_its_content(case: Case, transport: TransportName) -> None:
    """HTTP Basic with key and token on every call, JSON accepted, and a form declared where there can be one."""
    recorded = await record(case.call, transport)

    assert recorded.headers["authorization"] == "Basic " + base64.b64encode(b"key:the:token").decode()
    assert recorded.headers["accept"] == "application/json"
    assert recorded.headers["user-agent"].startswith("pidj-async/")
    assert recorded.headers.get("content-type") == (FORM if case.method in {"POST", "PUT"} else None)
    assert recorded.headers.get("content-length", "0") == str(len(case.body))
    assert recorded.headers["accept-encoding"] == "gzip, deflate"


async def test_value_none_and_omitted_are_three_things() -> None:
    """A value is sent, None is sent blank, an omitted field is not sent; on both updates."""
    contact = await record(lambda p: p.contacts.update(CONTACT, first_name="Jo", last_name=None))
    user = await record(lambda p: p.users.update(USER, first_name="Jo", last_name=None))

    assert contact.body == user.body == b"first_name=Jo&last_name="


@pytest.mark.parametrize(
    ("identifier", "path"),
    [
        ("co:a/../../user/us:b", "/contact/co:a%2F..%2F..%2Fuser%2Fus:b"),
        ("co:a?x=1#y", "/contact/co:a%3Fx=1%23y".replace("=", "%3D")),
        ("co:a%2Fb", "/contact/co:a%252Fb"),
        ("co:ü", "/contact/co:%C3%BC"),
    ],
)
async def test_no_id_reaches_another_path(identifier: str, path: str) -> None:
    """Whatever stands in an id is one segment of the path."""
    assert (await record(lambda p: p.contacts.get(identifier))).path == "/api/2020" + path
