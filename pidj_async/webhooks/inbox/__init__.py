"""The inbox: store, then acknowledge, then handle. Nothing that got a 200 is lost.

::

    store = Store("sqlite:///pidj.db")
    inbox = Inbox(store)
    app = Receiver(dispatcher, secret="...", inbox=inbox).asgi()

The promises, all of them:

1. **Durable.** An event is committed before it is acknowledged. If it cannot be, the answer is 503.
2. **At least once.** Each event is handed to the dispatcher until all its handlers have returned, at most
   `max_attempts` times; then it is *dead*, and waits for a person. A worker that dies loses its lease, and the event
   goes to another one.
3. **In order.** Events about one phone number are handled one after the other, in the order in which they came, by
   however many workers; also while one of them waits to be tried again. Events about different numbers, and those about
   none, are handled side by side.
4. **Opt-outs at once.** An opt-out is on the suppression list in the same transaction, before any handler has run.
5. **Duplicates are marked, not dropped.** Two "Yes" from one person are two texts.

An event's life::

    pending -> leased -> handled            all handlers returned, or nobody wanted it
                      -> skipped            a probable duplicate, and `skip_duplicates` was set
                      -> quarantined        it could not even be dispatched
                      -> pending            a handler failed: once more, after a while
                      -> dead               ... too often
    handled | skipped | quarantined | dead -> pending       `Inbox.replay`

``records`` has what is seen of an event, ``consent`` what it means for the suppression list, ``headers`` what is kept
of the request, ``table`` the SQL, ``worker`` the loop that hands events out, ``inbox`` the class that ties them
together. It needs the extra ``store``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pidj_async.errors import ConfigurationError

if TYPE_CHECKING:
    from pidj_async.webhooks.inbox.inbox import Inbox
    from pidj_async.webhooks.inbox.records import STATES, InboxRecord, State

__all__ = ["STATES", "Inbox", "InboxRecord", "State"]

_HOME_OF = {"Inbox": "inbox", "InboxRecord": "records", "STATES": "records", "State": "records"}


def __getattr__(name: str) -> Any:  # PEP 562: whoever only names a record's class needs no database
    if name not in _HOME_OF:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    try:
        value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "sqlalchemy":
            raise
        msg = 'the inbox needs SQLAlchemy; install it with: pip install "pidj-async[store]"'
        raise ConfigurationError(msg) from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
