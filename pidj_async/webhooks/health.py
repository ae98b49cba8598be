"""Whether a receiver can do its work, for whoever watches over the process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from pidj_async.errors import PidjError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from pidj_async.webhooks.receiver import Receiver

__all__ = ["Health", "check_health"]


@attrs.frozen(kw_only=True)
class Health:
    """How a receiver is. It says nothing of anybody, and nothing of how much there is to do.

    Attributes:
        ok: Whether events can be taken.
        problem: What is wrong, in words that anybody may read; ``None`` if nothing is.
    """

    ok: bool
    problem: str | None = None


async def check_health(receiver: Receiver) -> Health:
    """Find out whether a receiver can take events.

    Without an inbox it always can. With one, the store has to answer, which takes as long as the store's own limits
    allow: about 5 seconds.

    Args:
        receiver: The receiver.
    """
    if receiver.inbox is None:
        return Health(ok=True)
    try:
        await receiver.inbox.store.read(_nothing)
    except PidjError:
        # Not the reason: it may name the database's host.
        return Health(ok=False, problem="the store cannot be read")
    return Health(ok=True)


def _nothing(connection: Connection) -> None:
    connection.exec_driver_sql("SELECT 1 FROM pidj_meta").fetchall()
