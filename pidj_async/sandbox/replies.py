"""How the sandbox says yes and no: the vendor's envelopes, written the way PHP writes them.

Every envelope has ``code``, which equals the HTTP status, and ``status``. The document does not say which HTTP status
goes with which refusal. The sandbox's choice: 400 for a request that is malformed, 404 for something that is not
there, 422 for a request that is well-formed and still cannot be carried out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from pidj_async._endpoint import Endpoint

__all__ = [
    "Refusal",
    "encode_json",
    "malformed",
    "not_found",
    "refusal_envelope",
    "refused",
    "success_envelope",
]


class Refusal(Exception):  # noqa: N818  it is an answer, not a fault of the program
    """The call is not carried out, and nothing has changed.

    Attributes:
        code: The HTTP status.
        status: The envelope's ``status``.
        message: The envelope's ``message``.
    """

    def __init__(self, code: int, status: Literal["error", "failure"], message: str) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.message = message


def malformed(message: str) -> Refusal:
    """A field is missing, contradicts another, or has the wrong form."""
    return Refusal(400, "failure", message)


def refused(message: str) -> Refusal:
    """The request is well-formed, and cannot be carried out."""
    return Refusal(422, "failure", message)


def not_found(noun: str) -> Refusal:
    """There is no such thing."""
    return Refusal(404, "error", f"{noun} not found.")


def success_envelope(row: Endpoint[Any], content: Any = None) -> dict[str, Any]:
    """Wrap what a call returns the way its row says.

    Args:
        row: The table's row.
        content: With an envelope key in the row, what stands under that key. Without, the fields of the reply, named
            as the row's model names them.
    """
    envelope: dict[str, Any] = {"code": 200, "status": "success"}
    if row.envelope is not None:
        envelope[row.envelope] = content
    elif content:
        for name, value in content.items():
            envelope[row.renames.get(name, name)] = value
    return envelope


def refusal_envelope(code: int, status: str, message: str) -> dict[str, Any]:
    """The envelope of a refusal."""
    return {"code": code, "status": status, "message": message}


def encode_json(value: Mapping[str, Any]) -> bytes:
    r"""Write JSON as PHP does: no blanks, ASCII only, and every slash escaped (``America\/Denver``)."""
    # Outside of strings JSON has no slash, so replacing them all is safe.
    return json.dumps(value, separators=(",", ":")).replace("/", "\\/").encode("ascii")
