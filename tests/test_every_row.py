"""Every row of the table, from the client over a real socket into the sandbox and back.

A new row fails here until it has all it needs: a docstring with every argument, a handler in the sandbox, a typing
assertion in `tests/typing/client.py`, and an example call below.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from pidj_async import Pidj
from pidj_async._endpoint import Endpoint
from pidj_async.endpoints import BY_NAME, TABLE
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
from pidj_async.sandbox import GROUP_ID, GROUP_NUMBER, PLAIN_GROUP_ID, SERIES_ID, SURVEY_ID, Sandbox
from pidj_async.sandbox.handlers import HANDLERS

MARIA = "+18885553333"
NEW = "+18885554444"
DONE = Confirmation(status="success")


@attrs.frozen
class World:
    """What there is before each example: one contact, one user."""

    contact_id: str
    user_id: str


@attrs.frozen
class Example:
    """A call, and what its result must be: a value, or a claim about it."""

    call: Callable[[Pidj, World], Awaitable[Any]]
    expected: Any = None
    claim: Callable[[Any], bool] | None = None


def has_id(kind: type, prefix: str) -> Callable[[Any], bool]:
    return lambda result: isinstance(result, kind) and str(getattr(result, "id")).startswith(prefix)  # noqa: B009


def is_one_of(kind: type, **values: Any) -> Callable[[Any], bool]:
    """A tuple of such models, of which the first has these values."""
    return lambda result: (
        isinstance(result, tuple)
        and all(isinstance(one, kind) for one in result)
        and values == {name: getattr(result[0], name) for name in values}
    )


EXAMPLES = {
    "messages.send": Example(
        lambda pidj, _: pidj.messages.send(to_number=MARIA, text_body="Grüße! €", group_id=GROUP_ID),
        TextSent(status="success", message="Text sent."),
    ),
    "tasks.initiate": Example(
        lambda pidj, _: pidj.tasks.initiate(channel="ticket", group_id=GROUP_ID, subject="Leak", phone_number=MARIA),
        claim=has_id(CreatedTask, "ci:"),
    ),
    "users.get": Example(
        lambda pidj, world: pidj.users.get(world.user_id),
        User(
            first_name="Ada",
            last_name="",
            business_name="",
            display_name="",
            email_address="",
            phone_number="",
            username="ada",
            roles=("admin", "agent"),
            external_id="crm-7",
        ),
    ),
    "users.create": Example(
        lambda pidj, _: pidj.users.create(username="grace", password="p|w&=%", groups=["Front desk", PLAIN_GROUP_ID]),
        claim=has_id(CreatedUser, "us:"),
    ),
    "users.update": Example(
        lambda pidj, world: pidj.users.update(world.user_id, first_name=None, roles=["manager"], password="new"), DONE
    ),
    "users.delete": Example(lambda pidj, world: pidj.users.delete(world.user_id), DONE),
    "users.recover": Example(lambda pidj, world: pidj.users.recover(world.user_id), DONE),
    "users.pause": Example(
        lambda pidj, world: pidj.users.pause(world.user_id), PauseState(paused=True, status="success")
    ),
    "users.unpause": Example(
        lambda pidj, world: pidj.users.unpause(world.user_id), PauseState(paused=False, status="success")
    ),
    "sso.create_url": Example(
        lambda pidj, _: pidj.sso.create_url(external_id="crm-7", next="https://example.com/?a=1&b=ü"),
        claim=lambda result: isinstance(result, SsoUrl) and "/sso/" in result.url,
    ),
    "contacts.get": Example(
        lambda pidj, world: pidj.contacts.get(world.contact_id),
        claim=lambda result: (
            isinstance(result, Contact) and ("Maria", MARIA) == (result.first_name, result.phone_number)
        ),
    ),
    "contacts.get_by_phone": Example(
        lambda pidj, _: pidj.contacts.get_by_phone(MARIA),
        claim=lambda result: isinstance(result, Contact) and result.timezone == "America/Denver",
    ),
    "contacts.create": Example(
        lambda pidj, _: pidj.contacts.create(phone_number=NEW, group="sales", home_state="UT", business_country="CAN"),
        claim=has_id(CreatedContact, "co:"),
    ),
    "contacts.update": Example(
        lambda pidj, world: pidj.contacts.update(world.contact_id, first_name="Jo", email_address=None), DONE
    ),
    "contacts.delete": Example(lambda pidj, world: pidj.contacts.delete(world.contact_id), DONE),
    "contacts.send_consent_text": Example(
        lambda pidj, world: pidj.contacts.send_consent_text(world.contact_id, GROUP_ID), DONE
    ),
    "contacts.check_consent": Example(
        lambda pidj, world: pidj.contacts.check_consent(world.contact_id, PLAIN_GROUP_ID),
        ConsentCheck(needed=False, message="Consent is not set up for this group.", extra={"status": "success"}),
    ),
    "contacts.list": Example(lambda pidj, _: pidj.contacts.list(), claim=is_one_of(Contact, phone_number=MARIA)),
    "groups.list": Example(lambda pidj, _: pidj.groups.list(), claim=is_one_of(Group, phone_number=GROUP_NUMBER)),
    "series.subscribe": Example(
        lambda pidj, _: pidj.series.subscribe(
            SERIES_ID, timezone="America/New_York", to_number=NEW, from_number=GROUP_NUMBER
        ),
        Confirmation(status="success", message="Series subscribe."),
    ),
    "series.list": Example(lambda pidj, _: pidj.series.list(), claim=is_one_of(Series, id=SERIES_ID, name="Welcome")),
    "surveys.initiate": Example(
        lambda pidj, world: pidj.surveys.initiate(SURVEY_ID, contact_id=world.contact_id, group_id=GROUP_ID),
        Confirmation(status="success", message="Survey initiated."),
    ),
    "surveys.list": Example(
        lambda pidj, _: pidj.surveys.list(), claim=is_one_of(Survey, id=SURVEY_ID, name="How did we do?")
    ),
    "check_authorization": Example(
        lambda pidj, _: pidj.check_authorization(),
        Confirmation(status="success", message="Authorization successful."),
    ),
}

# Fields of an envelope that a result does not name are no surprise here.
IGNORED = attrs.filters.exclude("extra")


@pytest.fixture(scope="module")
def running_sandbox() -> Iterator[Sandbox]:
    with Sandbox(account_key="sandbox", token="sandbox") as sandbox:
        yield sandbox


@pytest.mark.anyio
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
async def test_there_and_back(row: Endpoint[Any], running_sandbox: Sandbox) -> None:
    """The call of each row arrives, is carried out by its own handler, and comes back as its own result."""
    assert row.name in EXAMPLES, f"{row.name} needs an example call in {Path(__file__).name}"
    example = EXAMPLES[row.name]
    running_sandbox.reset()
    async with Pidj(base_url=running_sandbox.base_url, account_key="sandbox", token="sandbox") as pidj:
        contact = await pidj.contacts.create(phone_number=MARIA, first_name="Maria")
        user = await pidj.users.create(
            username="ada", password="pw", first_name="Ada", roles=["admin", "agent"], external_id="crm-7"
        )
        result = await example.call(pidj, World(contact.id, user.id))
    assert isinstance(result[0] if row.many else result, row.model)
    if example.claim is not None:
        assert example.claim(result), result
    else:
        assert attrs.asdict(example.expected, filter=IGNORED) == attrs.asdict(result, filter=IGNORED)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_documented(row: Endpoint[Any]) -> None:
    """The request class of each row says what the call does and what each argument is."""
    doc = inspect.getdoc(row.request) or ""
    assert row.request.__doc__, f"{row.request.__name__} needs a docstring"
    for field in row.fields():
        assert f"\n    {field.name}: " in doc, f"{row.request.__name__} does not explain {field.name}"


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_handled(row: Endpoint[Any]) -> None:
    """The sandbox has a handler for each row."""
    assert row.name in HANDLERS


def test_types_are_asserted() -> None:
    """Each row's result type is asserted in `tests/typing/client.py`."""
    source = (Path(__file__).parent / "typing" / "client.py").read_text()
    assert {row.name for row in TABLE} == BY_NAME.keys() & calls_in_assertions(source)


def test_no_example_without_row() -> None:
    """No example is left of a row that is gone."""
    assert BY_NAME.keys() == EXAMPLES.keys()


def calls_in_assertions(source: str) -> set[str]:
    """The names of the calls in ``assert_type(await pidj.NAME(...), ...)``."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id="assert_type"), args=[ast.Await(value=ast.Call(func=function)), _]):
                root, dot, name = ast.unparse(function).partition(".")
                if (root, dot) == ("pidj", "."):
                    found.add(name)
            case _:
                pass
    return found


def test_how_assertions_are_found() -> None:
    """Only an awaited call inside `assert_type` counts, not one that merely stands in the file."""
    source = (
        "assert_type(await pidj.groups.list(), int)\n"
        "await pidj.series.list()\n"
        "# assert_type(await pidj.surveys.list(), int)\n"
        "assert_type(await other.users.get(), int)\n"
    )
    assert {"groups.list"} == calls_in_assertions(source)
