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
    from pidj_async.webhooks.dispatcher import (
        CallNext,
        DispatchContext,
        Dispatcher,
        DispatchReport,
        HandlerResult,
        Middleware,
    )
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
    from pidj_async.webhooks.guard import RedactSecrets, new_secret, redact_access_log, webhook_url
    from pidj_async.webhooks.http import WebhookReply, WebhookRequest
    from pidj_async.webhooks.inbox import Inbox, InboxRecord
    from pidj_async.webhooks.keywords import is_stop_word, normalize_keyword
    from pidj_async.webhooks.middleware import log_events
    from pidj_async.webhooks.parsing import parse_event
    from pidj_async.webhooks.receiver import Receiver, ReceiverStats
    from pidj_async.webhooks.replies import Reply, ReplyToOptOutError, SendsTexts
    from pidj_async.webhooks.samples import sample
    from pidj_async.webhooks.shapes import EventShape, FieldShape, Shapes
    from pidj_async.webhooks.telemetry import trace_events

__all__ = [
    "EVENT_TYPES",
    "CallNext",
    "ConsentGiven",
    "Contact",
    "ContactCreated",
    "ContactDeleted",
    "ContactEvent",
    "ContactRestored",
    "ContactUpdated",
    "DispatchContext",
    "DispatchReport",
    "Dispatcher",
    "Event",
    "EventShape",
    "FieldShape",
    "Group",
    "HandlerResult",
    "Inbox",
    "InboxRecord",
    "InferredEvent",
    "Interaction",
    "InteractionClosed",
    "Middleware",
    "OptedIn",
    "OptedOut",
    "Receiver",
    "ReceiverStats",
    "RedactSecrets",
    "Reply",
    "ReplyToOptOutError",
    "SendsTexts",
    "Shapes",
    "Text",
    "TextReceived",
    "UnknownEvent",
    "WebhookReply",
    "WebhookRequest",
    "is_stop_word",
    "log_events",
    "new_secret",
    "normalize_keyword",
    "parse_event",
    "redact_access_log",
    "sample",
    "trace_events",
    "webhook_url",
]

_HOMES = {
    "dispatcher": ("CallNext", "DispatchContext", "DispatchReport", "Dispatcher", "HandlerResult", "Middleware"),
    "guard": ("RedactSecrets", "new_secret", "redact_access_log", "webhook_url"),
    "inbox": ("Inbox", "InboxRecord"),
    "keywords": ("is_stop_word", "normalize_keyword"),
    "middleware": ("log_events",),
    "parsing": ("parse_event",),
    "http": ("WebhookReply", "WebhookRequest"),
    "receiver": ("Receiver", "ReceiverStats"),
    "replies": ("Reply", "ReplyToOptOutError", "SendsTexts"),
    "samples": ("sample",),
    "shapes": ("EventShape", "FieldShape", "Shapes"),
    "telemetry": ("trace_events",),
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
