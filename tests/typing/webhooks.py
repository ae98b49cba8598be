"""What type checkers must see in `pidj_async.webhooks`. Checked, never run.

Each ``type: ignore`` below is a claim too: the checkers complain when one is not needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, assert_type

from pidj_async.webhooks import (
    Contact,
    ContactCreated,
    ContactEvent,
    ContactUpdated,
    Dispatcher,
    DispatchReport,
    Event,
    Group,
    HandlerResult,
    OptedIn,
    OptedOut,
    Receiver,
    TextReceived,
    UnknownEvent,
    WebhookReply,
    WebhookRequest,
    parse_event,
    sample,
)

dispatcher = Dispatcher()


# A parsed event narrows by its class.
event = parse_event(b"")
assert_type(event, Event)
assert_type(event.raw, Mapping[str, Any])
assert_type(event.phone_number, str | None)
match event:
    case TextReceived():
        assert_type(event.name, Literal["text-received"])
        assert_type(event.message, str)
        assert_type(event.phone_from, str | None)
        assert_type(event.contact, Contact | None)
        assert_type(event.group, Group | None)
        if event.contact:
            assert_type(event.contact.id, str | None)
            assert_type(event.contact.tags, tuple[str, ...])
    case OptedOut() | OptedIn():
        assert_type(event.contact, Contact | None)
    case UnknownEvent():
        assert_type(event.extra, Mapping[str, Any])
    case _:
        pass

event.name = "opt-out"  # type: ignore[misc]
parse_event({"event": "opt-out"})  # type: ignore[arg-type]
assert_type(sample("opt-out"), dict[str, Any])


# A handler must take what it is registered for.
@dispatcher.on(TextReceived)
async def of_text(event: TextReceived) -> None: ...


@dispatcher.on(TextReceived)
def plain(event: TextReceived) -> int:
    return len(event.message)


@dispatcher.on(TextReceived)
async def of_any(event: Event) -> None: ...


@dispatcher.on(ContactEvent)
async def of_base(event: ContactEvent) -> None: ...


@dispatcher.on(OptedOut, OptedIn)
async def of_two(event: OptedOut | OptedIn) -> None: ...


@dispatcher.on(OptedOut, OptedIn, ContactCreated, ContactUpdated, TextReceived)
async def of_five(event: Event) -> None: ...


@dispatcher.on(TextReceived)  # type: ignore[arg-type]
async def of_another(event: OptedOut) -> None: ...


@dispatcher.on(OptedOut, OptedIn)  # type: ignore[arg-type]
async def of_only_one(event: OptedOut) -> None: ...


@dispatcher.on(ContactEvent)  # type: ignore[arg-type]
async def of_only_some(event: ContactCreated) -> None: ...


@dispatcher.on(TextReceived)  # type: ignore[arg-type]
async def of_nothing() -> None: ...


dispatcher.on(str)  # type: ignore[type-var]
dispatcher.on()  # type: ignore[call-overload]

assert_type(plain, Callable[[TextReceived], int])


async def main() -> None:
    """Reports and replies."""
    report = await dispatcher.dispatch(event)
    assert_type(report, DispatchReport)
    assert_type(report.failed, tuple[HandlerResult, ...])
    assert_type(report.results[0].outcome, Literal["ok", "failed"])
    receiver = Receiver(dispatcher, secret=["old", "new"])
    request = WebhookRequest(method="POST", path="/", headers={"x": "y"})
    assert_type(receiver.check(request), WebhookReply | None)
    assert_type(await receiver.receive(request), WebhookReply)
