"""Every error this package raises, as one tree.

::

    PidjError
     +- ConfigurationError (also a ValueError)    the client, receiver or command was set up wrongly
     +- InvalidRequestError (also a ValueError)   our side, before any I/O; names the field and the value
     |   +- TemplateError                         a text with merge fields that cannot be read or filled in
     +- TransportError                            no usable reply
     |   +- NotSentError                          proven: nothing left this machine; repeating is harmless
     |   +- OutcomeUnknownError                   it may have been acted on
     +- APIError                                  Pidj replied, and said no
     |   +- AuthenticationError                   401
     |   +- PermissionDeniedError                 403
     |   +- NotFoundError                         404
     |   +- RateLimitError                        429
     |   +- RefusedError                          a 2xx or 4xx reply whose status is "error" or "failure"
     |   +- ServerError                           5xx
     +- ResponseError                             a reply that is not what the API promises (HTML, cut off, too large)
     +- StoreError                                the database did not take it: full, locked, read-only, unreachable
     +- WebhookError
         +- InvalidPayloadError                   the body is not an event
         +- UnauthorizedWebhookError              the secret is missing or wrong

Which of them to catch: `InvalidRequestError` is a bug in the calling code, `APIError` is Pidj's answer, and of a
`TransportError` only the subclass says whether the request may have been acted on.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "APIError",
    "AuthenticationError",
    "ConfigurationError",
    "InvalidPayloadError",
    "InvalidRequestError",
    "NotFoundError",
    "NotSentError",
    "OutcomeUnknownError",
    "PermissionDeniedError",
    "PidjError",
    "RateLimitError",
    "RefusedError",
    "ResponseError",
    "ServerError",
    "StoreError",
    "TemplateError",
    "TransportError",
    "UnauthorizedWebhookError",
    "WebhookError",
]


class PidjError(Exception):
    """Whatever goes wrong in this package.

    Attributes:
        endpoint: The call that failed, as it is written in code (``"messages.send"``), or ``None`` outside a call.
        attempts: How many times the request was tried, the first included. 0 when it never came to trying.
    """

    endpoint: str | None = None
    attempts: int = 0

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception's own way is to call the class with `args`, which knows nothing of keyword-only arguments.
        return (_rebuild, (type(self), self.args), self.__dict__)


def _rebuild(cls: type[PidjError], args: tuple[Any, ...]) -> PidjError:
    return cls.__new__(cls, *args)


class ConfigurationError(PidjError, ValueError):
    """The client, the receiver or the command was set up in a way that cannot work, or not safely."""


class InvalidRequestError(PidjError, ValueError):
    """A request that Pidj would refuse, or would silently change; found before any I/O.

    Attributes:
        field: The argument that is wrong.
        problem: What is wrong with it.
        value: What it was, as text that is safe to log: phone numbers masked, secrets left out. ``None`` if it is
            missing altogether.
    """

    def __init__(self, field: str, problem: str, *, value: str | None = None) -> None:
        super().__init__(f"{field}: {problem}" if value is None else f"{field}: {problem}; got {value}")
        self.field = field
        self.problem = problem
        self.value = value


class TemplateError(InvalidRequestError):
    """A text with merge fields that cannot be read, or not be filled in. `field` is then the merge field's name."""


class TransportError(PidjError):
    """No usable reply came. Catch the subclasses: they say whether the request may have been acted on.

    Attributes:
        kind: What broke, by httpx's name for it, whichever transport it was: ``"ConnectTimeout"``, ``"ReadError"``, …;
            ``None`` if it was none of the network's failures.
    """

    kind: str | None = None


class NotSentError(TransportError):
    """Proven not sent: no byte of the request left this machine, so repeating it is harmless."""


class OutcomeUnknownError(TransportError):
    """The request was started and its reply never came: Pidj may or may not have acted on it.

    A text in this state must not be sent again blindly.
    """


class APIError(PidjError):
    """Pidj replied, and the reply says that the call did not succeed.

    Attributes:
        status_code: The reply's HTTP status.
        code: The ``code`` in the reply's envelope, if there was one; the vendor promises that it equals `status_code`.
        status: The envelope's ``status``: ``"error"``, ``"failure"``, or whatever else stood there.
        message: The vendor's own words, if any.
        body: The decoded reply, secrets taken out. Not part of the error's text.
    """

    def __init__(
        self,
        summary: str,
        *,
        status_code: int,
        code: int | None = None,
        status: str | None = None,
        message: str | None = None,
        body: Any = None,
    ) -> None:
        super().__init__(summary)
        self.status_code = status_code
        self.code = code
        self.status = status
        self.message = message
        self.body = body


class AuthenticationError(APIError):
    """401: the account key or the token is wrong. Both are on Pidj's API page, under settings."""


class PermissionDeniedError(APIError):
    """403: the credentials are right and do not allow this."""


class NotFoundError(APIError):
    """404: no such contact, user, group, series or survey."""


class RateLimitError(APIError):
    """429: too many requests. Nothing was done.

    Attributes:
        retry_after: How many seconds the server asks to wait, or ``None`` if it did not say.
    """

    def __init__(self, summary: str, *, retry_after: float | None = None, **details: Any) -> None:
        super().__init__(summary, **details)
        self.retry_after = retry_after


class RefusedError(APIError):
    """Pidj understood the request and refused it: any other 4xx, or a 2xx whose status is "error" or "failure"."""


class ServerError(APIError):
    """5xx: Pidj broke. The request may or may not have been acted on.

    Attributes:
        retry_after: How many seconds the server asks to wait, or ``None`` if it did not say.
    """

    def __init__(self, summary: str, *, retry_after: float | None = None, **details: Any) -> None:
        super().__init__(summary, **details)
        self.retry_after = retry_after


class ResponseError(PidjError):
    """A reply came that is not what the API promises: HTML, cut off, too large, of the wrong shape, a redirect.

    Attributes:
        status_code: The reply's HTTP status. With a 2xx the request was most likely carried out.
    """

    def __init__(self, summary: str, *, status_code: int) -> None:
        super().__init__(summary)
        self.status_code = status_code


class StoreError(PidjError):
    """The database could not be read or written: full, locked, read-only, unreachable. Nothing of the write was kept.

    Its text is the database's own reason, its first line; ``__cause__`` is the driver's error.
    """


class WebhookError(PidjError):
    """An incoming webhook could not be taken."""


class InvalidPayloadError(WebhookError):
    """The body is not an event: not JSON, not an object, or without the name of an event."""


class UnauthorizedWebhookError(WebhookError):
    """The secret is missing or wrong."""
