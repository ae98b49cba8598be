"""What the type checkers must see of every call. Checked by mypy and pyright, never run.

`tests/test_every_row.py` reads this file too: a row of the table without an ``assert_type`` here fails it.
"""

from __future__ import annotations

from typing import assert_type

from pidj_async import UNSET, AiohttpTransport, FastTransport, HttpxTransport, Pidj
from pidj_async.models import (
    Confirmation,
    ConsentCheck,
    Contact,
    CreatedContact,
    CreatedTask,
    CreatedUser,
    Group,
    PauseState,
    Series,
    SsoUrl,
    Survey,
    TextSent,
    User,
)
from pidj_async.requests import GetContact, ListContacts, ListGroups, SendText
from pidj_async.sansio import Reply
from pidj_async.streaming import Stream


def transports() -> None:
    assert_type(Pidj.from_env(transport="fast").transport_name, str)
    assert_type(Pidj(account_key="k", token="t", transport=FastTransport(max_connections=10, read_timeout=5)), Pidj)
    assert_type(Pidj(account_key="k", token="t", transport=AiohttpTransport(proxy="http://localhost:1")), Pidj)
    assert_type(Pidj(account_key="k", token="t", transport=HttpxTransport()), Pidj)


async def messages_and_tasks(pidj: Pidj) -> None:
    assert_type(await pidj.messages.send(to_number="+1", text_body="Hi", group_id="gr:1"), TextSent)
    assert_type(await pidj.messages.send(to_number="+1", text_body="Hi", from_number="+1", truncate=True), TextSent)
    assert_type(await pidj.tasks.initiate(channel="ticket", subject="Leak"), CreatedTask)


async def users(pidj: Pidj) -> None:
    assert_type(await pidj.users.get("us:1"), User)
    assert_type(
        await pidj.users.create(username="maria", password="x", roles=["admin"], groups=("Sales",)), CreatedUser
    )
    assert_type(await pidj.users.update("us:1", first_name="Jo", email_address=None, roles=UNSET), Confirmation)
    assert_type(await pidj.users.delete("us:1"), Confirmation)
    assert_type(await pidj.users.recover("us:1"), Confirmation)
    assert_type(await pidj.users.pause("us:1"), PauseState)
    assert_type(await pidj.users.unpause("us:1"), PauseState)
    assert_type((await pidj.users.pause("us:1")).paused, bool | None)


async def sso(pidj: Pidj) -> None:
    assert_type(await pidj.sso.create_url(user_uuid="us:1", next="https://example.com/"), SsoUrl)
    assert_type((await pidj.sso.create_url(external_id="7")).url, str)


async def contacts(pidj: Pidj) -> None:
    assert_type(await pidj.contacts.get("co:1"), Contact)
    assert_type(await pidj.contacts.get_by_phone("+1"), Contact)
    assert_type(await pidj.contacts.create(phone_number="+1", home_state="UT"), CreatedContact)
    assert_type(await pidj.contacts.update("co:1", first_name="Jo", email_address=None), Confirmation)
    assert_type(await pidj.contacts.delete("co:1"), Confirmation)
    assert_type(await pidj.contacts.send_consent_text("co:1", "gr:1"), Confirmation)
    assert_type(await pidj.contacts.check_consent("co:1", "gr:1"), ConsentCheck)
    assert_type(await pidj.contacts.list(), tuple[Contact, ...])
    assert_type(pidj.contacts.stream(), Stream[Contact])
    async for contact in pidj.contacts.stream():
        assert_type(contact, Contact)
    assert_type(pidj.stream(ListGroups()), Stream[Group])
    assert_type((await pidj.contacts.create(phone_number="+1")).id, str)
    assert_type((await pidj.contacts.check_consent("co:1", "gr:1")).needed, bool)


async def groups_series_surveys(pidj: Pidj) -> None:
    assert_type(await pidj.groups.list(), tuple[Group, ...])
    assert_type(await pidj.series.subscribe("ts:1", timezone="UTC", to_number="+1", group_id="gr:1"), Confirmation)
    assert_type(await pidj.series.list(), tuple[Series, ...])
    assert_type(await pidj.surveys.initiate("sv:1", contact_id="co:1", from_number="+1"), Confirmation)
    assert_type(await pidj.surveys.list(), tuple[Survey, ...])


async def account(pidj: Pidj) -> None:
    assert_type(await pidj.check_authorization(), Confirmation)


async def requests_know_their_results(pidj: Pidj) -> None:
    assert_type(await pidj.execute(SendText(to_number="+1", text_body="Hi", group_id="gr:1")), TextSent)
    assert_type(await pidj.execute(ListContacts()), tuple[Contact, ...])
    assert_type(await pidj.call(GetContact("co:1")), Reply[Contact])


async def mistakes(pidj: Pidj) -> None:
    # Each of these is an error of its own kind; a checker that sees none here reports the idle comment.
    await pidj.messages.send(text_body="Hi")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await pidj.messages.send(to_number=1, text_body="Hi")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await pidj.tasks.initiate(channel="email")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await pidj.users.create(username="m", password="x", roles=["owner"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    await pidj.contacts.create(phone_number=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await pidj.contacts.update("co:1", external_id="7")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
