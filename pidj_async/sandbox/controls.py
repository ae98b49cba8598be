"""What a test does to a sandbox besides calling its API. Every method is safe to call from any thread."""

from __future__ import annotations

from typing import Any

import anyio.to_thread

from pidj_async._fields import PhoneNumberKind
from pidj_async._masking import mask_phone_number, shorten
from pidj_async.errors import InvalidRequestError
from pidj_async.sandbox.engine import Engine
from pidj_async.sandbox.records import Delivery, SentText
from pidj_async.sandbox.seed import GROUP_NUMBER, Group
from pidj_async.sandbox.webhooks import Deliveries

__all__ = ["Controls"]

_PHONE = PhoneNumberKind()


class Controls:
    """The world of one sandbox behind a lock, and how to look at it and change it from outside.

    Args:
        webhook_url: Where to deliver webhooks; `None` to only keep a record of them.
        webhook_attempts: How often to try each webhook.
        webhook_backoff: Seconds before the second attempt; twice as long before each further one.
        webhook_timeout: Seconds to wait for the receiver.

    Raises:
        ConfigurationError: If an argument cannot work.
    """

    def __init__(
        self,
        *,
        webhook_url: str | None = None,
        webhook_attempts: int = 3,
        webhook_backoff: float = 0.2,
        webhook_timeout: float = 5.0,
    ) -> None:
        self._engine = Engine(
            Deliveries(webhook_url, attempts=webhook_attempts, backoff=webhook_backoff, timeout=webhook_timeout)
        )

    # ------------------------------------------------------------------------------------------------------- looking

    @property
    def texts(self) -> list[SentText]:
        """Every text that was sent, in order."""
        with self._engine.lock:
            return self._engine.state.texts.copy()

    @property
    def opt_outs(self) -> tuple[str, ...]:
        """The numbers that have opted out, E.164, in the order they did."""
        with self._engine.lock:
            return tuple(self._engine.state.opt_outs)

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        """Every webhook, in order, and what became of it. Without a webhook URL they are ``skipped``."""
        return self._engine.webhooks.snapshot()

    @property
    def webhook_url(self) -> str | None:
        """Where webhooks go. May be set at any time; those that happened before stay ``skipped``."""
        return self._engine.webhooks.url

    @webhook_url.setter
    def webhook_url(self, url: str | None) -> None:
        self._engine.webhooks.url = url

    def state(self) -> dict[str, Any]:
        """Return everything in the account but the texts, as plain JSON values; contacts with their addresses."""
        with self._engine.lock:
            return self._engine.state.snapshot()

    # ------------------------------------------------------------------------------------------------------ changing

    def receive_text(
        self, phone_from: str, message: str, *, phone_to: str | None = None, group: str | None = None
    ) -> tuple[str, ...]:
        """Let a person text one of the account's groups.

        STOP and its synonyms opt them out, START, UNSTOP and YES back in; YES also answers a request for consent; HELP
        is answered.

        Args:
            phone_from: Who texts, in E.164.
            message: What they write.
            phone_to: The number of the group they text. The first group's if neither it nor `group` is given.
            group: The same, by the group's id or name.

        Returns:
            The names of the events it raised, in order.

        Raises:
            InvalidRequestError: If a number is not in E.164, or no group has it.
            pidj_async.sandbox.replies.Refusal: If there is no such group.
        """
        _PHONE.check("phone_from", phone_from)
        if not isinstance(message, str):
            problem = "must be a str"
            raise InvalidRequestError("message", problem, value=shorten(type(message).__name__))
        if phone_to is not None and group is not None:
            problem = "give either phone_to or group, not both"
            raise InvalidRequestError("phone_to", problem)
        with self._engine.lock:
            return self._engine.state.receive_text(phone_from, message, self._texted_group(phone_to, group))

    def _texted_group(self, phone_to: str | None, reference: str | None) -> Group:
        if reference is not None:
            group = self._engine.state.find_group(_text("group", reference))
            if group.phone_number is None:
                problem = "has no phone number, so nobody can text it"
                raise InvalidRequestError("group", problem, value=repr(group.name))
            return group
        number: str = GROUP_NUMBER if phone_to is None else _PHONE.check("phone_to", phone_to)
        found = self._engine.state.group_by_number(number)
        if found is None:
            problem = "is no group's number"
            raise InvalidRequestError("phone_to", problem, value=repr(mask_phone_number(number)))
        return found

    def close_task(self, task_id: str) -> None:
        """Close a task, as a user would. It raises ``interaction-closed``.

        Args:
            task_id: The task (``ci:…``).

        Raises:
            pidj_async.sandbox.replies.Refusal: If there is no such task, or it is closed.
        """
        with self._engine.lock:
            self._engine.state.close_task(_text("task_id", task_id))

    def restore_contact(self, contact_id: str) -> None:
        """Bring back a deleted contact, which the API cannot. It raises ``contact-restored``.

        Args:
            contact_id: The contact (``co:…``).

        Raises:
            pidj_async.sandbox.replies.Refusal: If there is no such deleted contact, or its number was taken since.
        """
        with self._engine.lock:
            self._engine.state.restore_contact(_text("contact_id", contact_id))

    def fail_next(
        self,
        row_name: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        times: int = 1,
        drop: bool = False,
        after_acting: bool = False,
    ) -> None:
        """Let the next calls of a row fail.

        Wrong credentials are still answered with 401, and do not use a fault up.

        Args:
            row_name: The row, as it is written in code: ``"messages.send"``.
            status: The HTTP status to answer with: from 400 on, or 200 for a refusal in a 200.
            retry_after: Seconds for the ``Retry-After`` header.
            times: How many calls.
            drop: Hang up without an answer.
            after_acting: Carry the call out first, so that only its answer is wrong or lost.

        Raises:
            InvalidRequestError: If an argument makes no sense.
        """
        for name, value in (("status", status), ("times", times)):
            if value is not None and type(value) is not int:
                problem = "must be an int"
                raise InvalidRequestError(name, problem, value=shorten(value))
        if retry_after is not None and (isinstance(retry_after, bool) or not isinstance(retry_after, (int, float))):
            problem = "must be a number"
            raise InvalidRequestError("retry_after", problem, value=shorten(retry_after))
        for name, value in (("drop", drop), ("after_acting", after_acting)):
            if not isinstance(value, bool):
                problem = "must be True or False"
                raise InvalidRequestError(name, problem, value=shorten(value))
        with self._engine.lock:
            self._engine.faults.add(
                _text("row_name", row_name),
                status=status,
                retry_after=retry_after,
                times=times,
                drop=drop,
                after_acting=after_acting,
            )

    def reset(self) -> None:
        """Start over: only the groups, series and surveys are left. The webhook URL stays as it is."""
        self._engine.reset()

    # ------------------------------------------------------------------------------------------------------- waiting

    async def drain(self, timeout: float = 10.0) -> None:  # noqa: ASYNC109  the wait happens in a thread
        """Wait until every webhook was delivered or given up; on asyncio and trio.

        Args:
            timeout: Seconds.

        Raises:
            TimeoutError: If it takes longer.
        """
        await anyio.to_thread.run_sync(self.drain_sync, timeout, abandon_on_cancel=True)

    def drain_sync(self, timeout: float = 10.0) -> None:
        """Wait until every webhook was delivered or given up.

        Args:
            timeout: Seconds.

        Raises:
            TimeoutError: If it takes longer.
        """
        self._engine.webhooks.wait_idle(timeout)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        problem = "must be a str"
        raise InvalidRequestError(name, problem, value=shorten(type(value).__name__))
    return value
