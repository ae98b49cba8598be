"""One sandbox's world behind a lock, for the server's thread on one side and a test's on the other."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from pidj_async._endpoint import Endpoint
from pidj_async.sandbox.faults import Fault, Faults
from pidj_async.sandbox.handlers import HANDLERS
from pidj_async.sandbox.replies import success_envelope
from pidj_async.sandbox.state import State
from pidj_async.sandbox.webhooks import Deliveries

__all__ = ["Engine"]


class Engine:
    """The world, the faults that are still to happen, and the webhooks.

    Attributes:
        lock: Held while `state` or `faults` are used. A webhook is queued under it, so that the queue has the order of
            what happened. `webhooks` guards itself.
        state: The world.
        faults: What is to fail.
        webhooks: What is to be delivered.
    """

    def __init__(self, webhooks: Deliveries) -> None:
        self.lock = threading.Lock()
        self.webhooks = webhooks
        self.faults = Faults()
        self._site = ""
        self.state = self._new_state()

    def _new_state(self) -> State:
        return State(self.webhooks.put, site=self._site)

    def settle_at(self, site: str) -> None:
        """Say where the server listens: sign-on URLs lead there."""
        with self.lock:
            self._site = self.state.site = site

    def reset(self) -> None:
        """Start over."""
        with self.lock:
            self.webhooks.clear()
            self.faults.clear()
            self.state = self._new_state()

    def take_fault(self, row: Endpoint[Any]) -> Fault | None:
        """Take the next fault of a row, if any."""
        with self.lock:
            return self.faults.take(row.name)

    def carry_out(self, row: Endpoint[Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out a call and return its envelope.

        Raises:
            Refusal: If it cannot be carried out.
        """
        with self.lock:
            return success_envelope(row, HANDLERS[row.name](self.state, given))

    def sign_on(self, token: str) -> tuple[str, str | None]:
        """Say whom a sign-on URL signs in, by user name, and where the browser goes next.

        Raises:
            Refusal: If it is not known, or its time is over.
        """
        with self.lock:
            user, next_url = self.state.sign_on(token)
            return user.username, next_url
