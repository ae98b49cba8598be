"""What type checkers must see in `pidj_async.webhooks`. Checked, never run.

Each ``type: ignore`` below is a claim too: the checkers complain when one is not needed.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Literal, assert_type

from pidj_async import Pidj
from pidj_async.models import TextSent
from pidj_async.webhooks import (
    CallNext,
    Contact,
    ContactCreated,
    ContactEvent,
    ContactUpdated,
    DispatchContext,
    Dispatcher,
    DispatchReport,
    Event,
    Group,
    HandlerResult,
    Middleware,
    OptedIn,
    OptedOut,
    Receiver,
    Reply,
    SendsTexts,
    TextReceived,
    UnknownEvent,
    WebhookReply,
    WebhookRequest,
    log_events,
    parse_event,
    sample,
    trace_events,
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


# It may want more than the event, by the types of its other parameters.
class Shop: ...


class Till:
    shop: Shop


@dispatcher.on(TextReceived, regex=r"\d+")
async def of_more(
    event: TextReceived, shop: Shop, match: re.Match[str], *, context: DispatchContext, reply: Reply | None = None
) -> None: ...


@dispatcher.on(TextReceived)
async def of_client(event: TextReceived, pidj: Pidj, reply: Reply) -> None:
    assert_type(await reply("Hi"), TextSent)
    assert_type(await event.reply("Hi", pidj), TextSent)
    await event.reply("Hi", "pidj")  # type: ignore[arg-type]


@dispatcher.on(TextReceived)
def of_shop(event: Event, shop: Shop) -> None: ...


@dispatcher.on(TextReceived)  # type: ignore[arg-type]
async def of_another_and_more(event: OptedOut, shop: Shop) -> None: ...


@dispatcher.on(OptedOut, OptedIn)  # type: ignore[arg-type]
async def of_only_one_and_more(event: OptedOut, shop: Shop) -> None: ...


class Clerk:
    async def answer(self, event: TextReceived, shop: Shop) -> None: ...

    def __call__(self, event: TextReceived, shop: Shop) -> None: ...


dispatcher.on(TextReceived)(Clerk().answer)
dispatcher.on(TextReceived)(Clerk())
dispatcher.on(OptedOut)(Clerk().answer)  # type: ignore[arg-type]
of_shop(TextReceived(), Shop())
of_shop(TextReceived(), 5)  # type: ignore[arg-type]


# Filters belong to the events that they look at.
def is_new(event: TextReceived) -> bool:
    return event.message == "Hi"


async def is_ours(event: Event) -> bool:
    return event.name == "opt-out"


def name_of(event: Event) -> str:
    return event.name


@dispatcher.on(TextReceived, keyword=["stop", "end"], group="gr:1", tag={"vip"}, when=is_new, fallback=True)
async def of_filtered(event: TextReceived) -> None: ...


dispatcher.on(TextReceived, regex=re.compile("x"), when=is_ours)
dispatcher.on(TextReceived, when=lambda event: event.message == "Hi")
dispatcher.on(OptedOut, OptedIn, when=lambda event: event.phone is None)
dispatcher.on(ContactCreated, tag="vip", when=is_ours)
dispatcher.on(OptedOut, when=is_new)  # type: ignore[arg-type]
dispatcher.on(TextReceived, OptedOut, when=is_new)  # type: ignore[arg-type]
dispatcher.on(TextReceived, when=name_of)  # type: ignore[arg-type]
dispatcher.on(TextReceived, when=lambda event: event.phone)  # type: ignore[attr-defined]
dispatcher.on(ContactCreated, keyword="x")  # type: ignore[type-var]
dispatcher.on(OptedOut, regex="x")  # type: ignore[type-var]
dispatcher.on(TextReceived, OptedOut, keyword="x")  # type: ignore[call-overload]
dispatcher.on(TextReceived, regex=re.compile(b"x"))  # type: ignore[arg-type]
dispatcher.on(TextReceived, keyword=5)  # type: ignore[call-overload]
dispatcher.include(Dispatcher(), group="gr:1", when=is_ours)
dispatcher.include(Dispatcher(), when=is_new)  # type: ignore[arg-type]


# What is provided is of the type that it is provided for.
async def make_shop(till: Till) -> Shop:
    return till.shop


async def open_shop() -> AsyncIterator[Shop]:
    yield Shop()


def make_number() -> int:
    return 1


def provide(pidj: Pidj) -> None:
    """Values and factories."""
    dispatcher.provide(Pidj, pidj)
    dispatcher.provide(SendsTexts, pidj)  # type: ignore[type-abstract]
    dispatcher.provide(Pidj, Pidj.from_env)
    dispatcher.provide(Shop, Shop)
    dispatcher.provide(Shop, make_shop)
    dispatcher.provide(Shop, open_shop)
    dispatcher.provide(Shop, 5)  # type: ignore[arg-type]
    dispatcher.provide(Shop, make_number)  # type: ignore[arg-type]


# Middleware returns the report.
@dispatcher.middleware
async def around(event: Event, call_next: CallNext) -> DispatchReport:
    report = await call_next(event)
    assert_type(report, DispatchReport)
    return report


@dispatcher.middleware  # type: ignore[type-var]
async def around_nothing(event: Event, call_next: CallNext) -> None: ...


assert_type(dispatcher.middleware(log_events()), Middleware)
dispatcher.middleware(trace_events())


async def main() -> None:
    """Reports and replies."""
    report = await dispatcher.dispatch(event)
    assert_type(report, DispatchReport)
    assert_type(report.failed, tuple[HandlerResult, ...])
    assert_type(report.results[0].outcome, Literal["ok", "failed", "refused"])
    await dispatcher.dispatch(event, context={Shop: Shop()})
    await dispatcher.dispatch(event, context={"shop": Shop()})  # type: ignore[dict-item]
    receiver = Receiver(dispatcher, secret=["old", "new"])
    request = WebhookRequest(method="POST", path="/", headers={"x": "y"})
    assert_type(receiver.check(request), WebhookReply | None)
    assert_type(await receiver.receive(request), WebhookReply)
