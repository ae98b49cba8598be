"""Connections of our own: what happens to those that are idle, while others are busy."""

from __future__ import annotations

import math
import threading

import anyio
import pytest

from pidj_async import HttpxTransport, Pidj
from pidj_async.transports.own import OwnConnections
from tests.recorder import Recorded, Recorder, reply

pytestmark = pytest.mark.anyio


async def test_a_reply_is_not_lost_over_a_stale_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a connection that was idle for too long is closed, another request takes the last one that is left."""
    both = threading.Barrier(2, timeout=5)

    def answer(request: Recorded) -> tuple[int, dict[str, str], bytes]:
        if request.path.endswith("/groups"):
            both.wait()
            return reply(200, groups=[])
        return reply(200, message="Text sent.")

    with Recorder(answer) as recorder:
        async with (
            HttpxTransport() as transport,
            Pidj(account_key="key", token="token", base_url=recorder.base_url, transport=transport) as pidj,
        ):
            async with anyio.create_task_group() as group:
                group.start_soon(pidj.groups.list)
                group.start_soon(pidj.groups.list)
            engine = transport._engine
            assert isinstance(engine, OwnConnections)
            (origin,) = engine._origins.values()
            stale = origin.idle[0][1]
            origin.idle[0] = (-math.inf, stale)
            discard, discarded = engine._discard, []

            async def discard_slowly(connection: object) -> None:
                discarded.append(connection)
                await discard(connection)  # type: ignore[arg-type]
                origin.idle.clear()  # as a request would, that takes the only one

            monkeypatch.setattr(engine, "_discard", discard_slowly)
            sent = await pidj.messages.send(to_number="+18885553333", text_body="Hi", group_id="gr:1")

    assert ([stale], "Text sent.") == (discarded, sent.message)
