"""The helpers for other people's tests: envelopes and mocks made from the table."""

from __future__ import annotations

import sys
from typing import Any

import httpx
import pytest
import respx

from pidj_async import ConfigurationError, NotFoundError, NotSentError, OutcomeUnknownError, Pidj, RefusedError
from pidj_async._endpoint import Endpoint
from pidj_async.endpoints import BY_NAME, TABLE
from pidj_async.models import Contact, CreatedTask
from pidj_async.requests import SendText
from pidj_async.sandbox.replies import encode_json
from pidj_async.sansio import WireResponse, parse_response
from pidj_async.testing import MockPidj, mock_route, refusal, sample, success

MARIA = "+18885553333"


def read(row: Endpoint[Any], envelope: dict[str, Any], status_code: int = 200) -> Any:
    """What the client makes of an envelope."""
    response = WireResponse(status_code=status_code, headers={}, content=encode_json(envelope))
    return parse_response(row, response).result


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_success_of_every_row(row: Endpoint[Any]) -> None:
    """The envelope of each row is one that the client reads into the row's model, with nothing left over."""
    result = read(row, success(row.name))
    one = result[0] if row.many else result
    assert isinstance(one, row.model)
    assert {} == {name: value for name, value in one.extra.items() if name != "status"}


def test_success_with_fields() -> None:
    """What is given replaces what the sandbox would say; names are the result's, also where the wire's differ."""
    contact = success("contacts.get", first_name="Jo", tags=["VIP"])
    read_contact = read(BY_NAME["contacts.get"], contact)
    assert ("Jo", "Alvarez", ("VIP",)) == (read_contact.first_name, read_contact.last_name, read_contact.tags)
    assert {"code": 200, "status": "success", "task": "ci:7"} == success("tasks.initiate", id="ci:7")
    assert CreatedTask(id="ci:7") == read(BY_NAME["tasks.initiate"], success("tasks.initiate", id="ci:7"))
    assert "Contact created." == success("contacts.create")["message"]


def test_success_with_items() -> None:
    """A list has the items that are given, each completed; without any, the sandbox's."""
    contacts = success("contacts.list", {"first_name": "Jo"}, {"first_name": "Al"})["contacts"]
    assert ["Jo", "Al"] == [contact["first_name"] for contact in contacts]
    assert success("contacts.get")["contact"].keys() == contacts[0].keys()
    assert 4 == len(success("groups.list")["groups"])


def test_success_refuses() -> None:
    """Items for one result, fields for many, or no such row: each is told."""
    with pytest.raises(TypeError, match="made of items"):
        success("contacts.list", first_name="Jo")
    with pytest.raises(TypeError, match="made of fields"):
        success("contacts.get", {"first_name": "Jo"})
    with pytest.raises(TypeError, match=r"no row 'contacts.fetch'; it has messages.send"):
        success("contacts.fetch")


def test_refusal() -> None:
    """A refusal is read as one."""
    assert {"code": 422, "status": "failure", "message": "No."} == refusal()
    with pytest.raises(RefusedError, match="Not today"):
        read(BY_NAME["messages.send"], refusal("Not today."), 422)
    with pytest.raises(NotFoundError):
        read(BY_NAME["contacts.get"], refusal(code=404, status="error"), 404)


@pytest.mark.anyio
async def test_mock_pidj() -> None:
    """A route answers by itself, is found by its name, and records what was asked."""
    async with MockPidj() as mock:
        sending = mock.route("messages.send")
        mock.route("contacts.list").respond(json=success("contacts.list", {"first_name": "Jo"}))
        sent = await mock.pidj.messages.send(to_number=MARIA, text_body="Hi", group_id="gr:1")
        contacts = await mock.pidj.contacts.list()
    assert ("Text sent.", ["Jo"]) == (sent.message, [contact.first_name for contact in contacts])
    assert 1 == sending.call_count == mock.router["messages.send"].call_count
    assert b"to_number=%2B18885553333&text_body=Hi&group_id=gr%3A1" == sending.calls.last.request.content


@pytest.mark.anyio
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
async def test_every_row_can_be_mocked(row: Endpoint[Any]) -> None:
    """The route of each row matches the client's request of that row, and no other."""
    values = {
        "contact_id": "co:1",
        "user_id": "us:1",
        "user_uuid": "us:1",
        "group_id": "gr:1",
        "series_id": "ts:1",
        "survey_id": "sv:1",
        "phone_number": MARIA,
        "to_number": MARIA,
        "text_body": "Hi",
        "channel": "ticket",
        "timezone": "UTC",
        "username": "maria",
        "password": "pw",
    }
    names = {field.name for field in row.fields()} & values.keys()
    if any("contact_id" in pair for pair in row.request.exactly_one_of):
        names.remove("to_number")
    async with MockPidj(assert_all_called=False) as mock:
        for other in TABLE:
            mock.route(other)
        await mock.pidj.execute(row.request(**{name: values[name] for name in names}))
        assert [row.name] == [other.name for other in TABLE if mock.router[other.name].called]


@pytest.mark.anyio
async def test_mock_with_values() -> None:
    """A route with values answers only requests that have them, in the path and in the form."""
    async with MockPidj() as mock:
        mock.route("contacts.get", contact_id="co:1").respond(json=success("contacts.get", first_name="Jo"))
        mock.route("contacts.get").respond(404, json=refusal(code=404))
        mock.route("contacts.get_by_phone", phone_number=MARIA)
        update = mock.route("contacts.update", contact_id="co:1", first_name="Al", email_address=None)
        users = mock.route("users.create", roles=["admin", "agent"])
        assert "Jo" == (await mock.pidj.contacts.get("co:1")).first_name
        with pytest.raises(NotFoundError):
            await mock.pidj.contacts.get("co:11")
        assert isinstance(await mock.pidj.contacts.get_by_phone(MARIA), Contact)
        await mock.pidj.contacts.update("co:1", first_name="Al", email_address=None, last_name="Doe")
        await mock.pidj.users.create(username="x", password="y", roles=["admin", "agent"])
        with pytest.raises(AssertionError, match="not mocked"):
            await mock.pidj.contacts.update("co:1", first_name="Al")
    assert (1, 1) == (update.call_count, users.call_count)


@pytest.mark.anyio
async def test_mock_failures() -> None:
    """A route can fail the way a network does, and the error says what is known of the request."""
    text = SendText(to_number=MARIA, text_body="Hi", group_id="gr:1")
    async with MockPidj() as mock:
        sending = mock.route("messages.send")
        pidj = mock.pidj.with_options(retry=lambda *_: None)
        for failure, expected in ((httpx.ConnectError, NotSentError), (httpx.ReadTimeout, OutcomeUnknownError)):
            sending.mock(side_effect=failure)
            with pytest.raises(expected):
                await pidj.execute(text)


@pytest.mark.anyio
async def test_routes_must_be_called() -> None:
    """A route that was never called is an error, unless the block failed already or was told not to ask."""
    mock = MockPidj()
    mock.route("messages.send")
    with pytest.raises(AssertionError, match="some routes were not called"):
        async with mock:
            pass
    with pytest.raises(ZeroDivisionError):
        async with mock:
            raise ZeroDivisionError
    async with MockPidj(assert_all_called=False) as mock:
        mock.route("messages.send")


@pytest.mark.anyio
@pytest.mark.parametrize(
    "base_url", ["https://gopidj.com/api/2020", "http://127.0.0.1:8020/api/2020/", "https://[::1]/x.y"]
)
async def test_base_url(base_url: str) -> None:
    """Routes are where the client looks for them, whatever its base URL."""
    async with MockPidj(base_url=base_url) as mock:
        mock.route("groups.list")
        assert 4 == len(await mock.pidj.groups.list())


@pytest.mark.anyio
async def test_on_respx_own_router() -> None:
    """Routes can stand on respx's own router, with the client's default transport below."""
    with respx.mock() as router:
        route = mock_route(router, "users.pause", user_id="us:1")
        async with Pidj(account_key="k", token="t") as pidj:
            assert (await pidj.users.pause("us:1")).paused is True
    assert 1 == route.call_count


def test_mock_refuses() -> None:
    """A value that is none of the row's fields is told, and which there are."""
    with pytest.raises(TypeError, match=r"id: not among the fields of users.get \(user_id\)"):
        mock_route(respx.Router(), "users.get", id="us:1")
    with pytest.raises(TypeError, match=r"\(it has none\)"):
        mock_route(respx.Router(), "groups.list", id="gr:1")


def test_other_requests_are_not_mocked() -> None:
    """A route does not answer for another host, another path or a longer one."""
    router = respx.Router()
    mock_route(router, "users.get")
    for url in (
        "https://gopidj.com/api/2020/user/us:1/pause",
        "https://gopidj.com/api/2020/user/",
        "https://gopidj.com/api/2021/user/us:1",
        "https://example.com/api/2020/user/us:1",
        "http://gopidj.com/api/2020/user/us:1",
    ):
        with pytest.raises(AssertionError, match="not mocked"):
            router.handler(httpx.Request("GET", url))
    assert 200 == router.handler(httpx.Request("GET", "https://gopidj.com/api/2020/user/us:1")).status_code


def test_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without respx, the error says what to install."""
    monkeypatch.setitem(sys.modules, "respx", None)
    with pytest.raises(ConfigurationError, match=r'pip install "pidj-async\[testing\]"'):
        MockPidj()


def test_sample_is_here_too() -> None:
    """The sample webhooks can be had from the same place."""
    assert "text-received" == sample("text-received")["event"]
