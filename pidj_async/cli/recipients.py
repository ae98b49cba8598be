"""Reading a list of recipients, and finding what is wrong with it before anything is sent."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import attrs

from pidj_async.errors import InvalidRequestError
from pidj_async.requests import SendText

__all__ = ["InvalidLine", "Preflight", "Recipient", "check_recipients", "shipped_recipients"]


@attrs.frozen
class Recipient:
    """Somebody to text.

    Attributes:
        line: The line of the file, from 1; the heading is line 1.
        text: What to send them.
        opted_out: Whether the list says that they want no texts.
    """

    line: int
    text: SendText
    opted_out: bool


@attrs.frozen
class InvalidLine:
    """A line that nothing can be sent to.

    Attributes:
        line: The line of the file, from 1.
        reason: What is wrong; a phone number in it is masked.
    """

    line: int
    reason: str


@attrs.frozen
class Preflight:
    """What a list holds: each of its lines is in exactly one of the three.

    Attributes:
        lines: How many there are, the heading left out.
        recipients: Whom to text, each number once.
        invalid: Lines without a usable number.
        duplicates: Lines whose number stood in an earlier one.
    """

    lines: int
    recipients: tuple[Recipient, ...]
    invalid: tuple[InvalidLine, ...]
    duplicates: tuple[int, ...]


def shipped_recipients() -> Path:
    """Find the list that ships with the demonstration: a file of the wheel, or of ``examples/`` in a checkout."""
    packed = Path(__file__).with_name("recipients.csv")
    return packed if packed.is_file() else Path(__file__).parents[2] / "examples" / "recipients.csv"


def check_recipients(lines: Iterable[str], *, template: str, group_id: str) -> Preflight:
    """Read a CSV with the columns ``phone_number``, ``first_name`` and ``opted_out``, and sort its lines.

    What is a usable number is for `SendText` to say: the check is the one that sending would make.

    Args:
        lines: The file.
        template: The message; the CSV's columns are its merge fields, as in ``"Hi {first_name}"``.
        group_id: The group to text from (``gr:…``).
    """
    reader = csv.DictReader(lines, restval="")
    recipients: dict[str, Recipient] = {}
    invalid: list[InvalidLine] = []
    duplicates: list[int] = []
    for row in reader:
        line = reader.line_num
        number = row["phone_number"].strip()
        try:
            text = SendText(to_number=number, text_body=template.format_map(row), group_id=group_id)
        except InvalidRequestError as error:
            invalid.append(InvalidLine(line, _reason(error, number)))
            continue
        if number in recipients:
            duplicates.append(line)
        else:
            recipients[number] = Recipient(line, text, row["opted_out"] == "yes")
    return Preflight(
        lines=len(recipients) + len(invalid) + len(duplicates),
        recipients=tuple(recipients.values()),
        invalid=tuple(invalid),
        duplicates=tuple(duplicates),
    )


def _reason(error: InvalidRequestError, number: str) -> str:
    if not number:
        return "there is no phone number"
    # The rest of the sentence explains E.164, which is said once and not in every line.
    problem = error.problem.partition(":")[0]
    return f"{error.field.replace('_', ' ')} {problem}; got {error.value}"
