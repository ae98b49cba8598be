"""Pidj's webhooks: from a POST to your own function.

::

    from pidj_async.webhooks import Dispatcher, Receiver, TextReceived

    dispatcher = Dispatcher()

    @dispatcher.on(TextReceived)
    async def answer(event: TextReceived) -> None:
        print(event.phone_from, event.message)

    app = Receiver(dispatcher, secret="...").asgi()

Names are imported when they are first used: whoever only parses events does not load the rest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pidj_async.webhooks.dispatcher import Dispatcher, DispatchReport, HandlerResult
    from pidj_async.webhooks.events import (
        EVENT_TYPES,
        ConsentGiven,
        Contact,
        ContactCreated,
        ContactDeleted,
        ContactEvent,
        ContactRestored,
        ContactUpdated,
        Event,
        Group,
        InferredEvent,
        Interaction,
        InteractionClosed,
        OptedIn,
        OptedOut,
        Text,
        TextReceived,
        UnknownEvent,
    )
    from pidj_async.webhooks.parsing import parse_event
    from pidj_async.webhooks.receiver import Receiver, ReceiverStats, WebhookReply, WebhookRequest
    from pidj_async.webhooks.samples import sample
    from pidj_async.webhooks.shapes import EventShape, FieldShape, Shapes

__all__ = [
    "EVENT_TYPES",
    "ConsentGiven",
    "Contact",
    "ContactCreated",
    "ContactDeleted",
    "ContactEvent",
    "ContactRestored",
    "ContactUpdated",
    "DispatchReport",
    "Dispatcher",
    "Event",
    "EventShape",
    "FieldShape",
    "Group",
    "HandlerResult",
    "InferredEvent",
    "Interaction",
    "InteractionClosed",
    "OptedIn",
    "OptedOut",
    "Receiver",
    "ReceiverStats",
    "Shapes",
    "Text",
    "TextReceived",
    "UnknownEvent",
    "WebhookReply",
    "WebhookRequest",
    "parse_event",
    "sample",
]

_HOMES = {
    "dispatcher": ("DispatchReport", "Dispatcher", "HandlerResult"),
    "parsing": ("parse_event",),
    "receiver": ("Receiver", "ReceiverStats", "WebhookReply", "WebhookRequest"),
    "samples": ("sample",),
    "shapes": ("EventShape", "FieldShape", "Shapes"),
}
_HOME_OF = dict.fromkeys(__all__, "events") | {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:  # PEP 562
    if name not in _HOME_OF:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
