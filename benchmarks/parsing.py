"""``python -m benchmarks parsing``: what it costs to make an event of a body."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from statistics import median
from time import perf_counter_ns
from typing import Annotated, Any, Final, Literal, Union

import msgspec
import orjson
from pydantic import BaseModel, Field, TypeAdapter

from pidj_async.webhooks import EVENT_TYPES, Event, parse_event, sample
from pidj_async.webhooks.parsing import decode, read_event

__all__ = ["BODIES", "FLOOR", "MSGSPEC", "OURS", "PARSERS", "PYDANTIC", "body_for", "measure_parsing", "report_parsing"]

MOST_TIMES_FLOOR: Final = 1.5
LEAST_TIMES_FASTER: Final = 2.0

OURS: Final = "parse_event"
FLOOR: Final = "orjson.loads"
PYDANTIC: Final = "pydantic"
MSGSPEC: Final = "msgspec"
READ_RAW: Final = "parse_event, then .raw"
SURPRISED: Final = "parse_event, one more field"
WITHOUT_MSGSPEC: Final = "parse_event without msgspec"


def _as_php_writes(payload: Mapping[str, Any]) -> bytes:
    # Without spaces, slashes escaped, and nothing but ASCII.
    return json.dumps(payload, separators=(",", ":")).replace("/", "\\/").encode()


#: A body of each event, as the vendor's server would encode it.
BODIES: Final[Mapping[str, bytes]] = {name: _as_php_writes(sample(name)) for name in EVENT_TYPES}


# --- pydantic -----------------------------------------------------------------------------------------------------
# The least that one would write, and so the fastest: the wire's own names, one spelling, what is unknown dropped.


class _Contact(BaseModel):
    uuid: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    business_name: str | None = None
    display_name: str | None = None
    email_address: str | None = None
    phone: str | None = None
    phone_office: str | None = None
    phone_fax: str | None = None
    timezone: str | None = None
    tags: tuple[str, ...] | None = None
    external_id: str | None = None


class _Group(BaseModel):
    uuid: str | None = None
    name: str | None = None
    phone: str | None = None


class _Text(BaseModel):
    message: str | None = None
    phone_to: str | None = None
    phone_from: str | None = None
    group: _Group | None = None
    contact: _Contact | None = None


class _Interaction(BaseModel):
    uuid: str | None = None


class _ContactEvent(BaseModel):
    event: Literal["contact-created", "contact-updated", "contact-deleted", "contact-restored"]
    contact: _Contact | None = None


class _TextReceived(BaseModel):
    event: Literal["text-received"]
    text: _Text | None = None


class _InferredEvent(BaseModel):
    event: Literal["interaction-closed", "consent-given", "opt-out", "opt-in"]
    interaction: _Interaction | None = None
    contact: _Contact | None = None
    group: _Group | None = None
    text: _Text | None = None
    phone: str | None = None


_pydantic: TypeAdapter[Any] = TypeAdapter(
    Annotated[_ContactEvent | _TextReceived | _InferredEvent, Field(discriminator="event")]
)


# --- msgspec ------------------------------------------------------------------------------------------------------


def _struct(model: type[BaseModel], **options: Any) -> Any:
    """Make a struct with the fields of a model above, so that the two cannot differ."""
    fields: list[Any] = []
    for name, field in model.model_fields.items():
        inner = next((one for one in (_Contact, _Group, _Text, _Interaction) if field.annotation == one | None), None)
        if name != "event":
            fields.append((name, field.annotation if inner is None else _struct(inner) | None, None))
    return msgspec.defstruct(model.__name__, fields, gc=False, **options)


_msgspec: Callable[[bytes], Any] = msgspec.json.Decoder(
    Union[  # noqa: UP007  it is made here
        tuple(
            _struct(model, tag_field="event", tag=name)
            for model in (_ContactEvent, _TextReceived, _InferredEvent)
            for name in model.model_fields["event"].annotation.__args__  # type: ignore[union-attr]
        )
    ]
).decode


# --- ours ---------------------------------------------------------------------------------------------------------


def _then_raw(body: bytes) -> Mapping[str, Any]:
    return parse_event(body).raw


def _without_msgspec(body: bytes) -> Event:
    return read_event(decode(body))


PARSERS: Final[Mapping[str, Callable[[bytes], object]]] = {
    FLOOR: orjson.loads,
    OURS: parse_event,
    PYDANTIC: _pydantic.validate_json,
    MSGSPEC: _msgspec,
    READ_RAW: _then_raw,
    SURPRISED: parse_event,
    WITHOUT_MSGSPEC: _without_msgspec,
}


def body_for(parser: str, event: str) -> bytes:
    """The body that a parser is given."""
    return _as_php_writes(sample(event, at="noon")) if parser == SURPRISED else BODIES[event]


def measure_parsing(rounds: int, repeats: int = 100) -> dict[str, dict[str, list[float]]]:
    """Microseconds a call, for each event and parser: `rounds` means of `repeats` calls, the parsers taking turns.

    The first tenth of the rounds warms everything up and is not kept.
    """
    figures: dict[str, dict[str, list[float]]] = {}
    for event in EVENT_TYPES:
        turns = [(name, parser, body_for(name, event)) for name, parser in PARSERS.items()]
        found: dict[str, list[float]] = {name: [] for name in PARSERS}
        warm_up = rounds // 10
        for number in range(rounds + warm_up):
            for name, parser, body in turns:
                start = perf_counter_ns()
                for _ in range(repeats):
                    parser(body)
                if number >= warm_up:
                    found[name].append((perf_counter_ns() - start) / repeats / 1e3)
        figures[event] = found
    return figures


def report_parsing(figures: Mapping[str, Mapping[str, list[float]]]) -> str:
    """The table, and how it stands against the targets."""
    lines = [
        f"Microseconds a call, medians of {len(next(iter(figures.values()))[OURS])} turns.",
        "",
        f"| event | bytes | {' | '.join(PARSERS)} | x {FLOOR} | {PYDANTIC} x |",
        f"|---|{'--:|' * (len(PARSERS) + 3)}",
    ]
    times_floor: dict[str, float] = {}
    times_faster: dict[str, float] = {}
    for event, found in figures.items():
        medians = {name: median(measured) for name, measured in found.items()}
        times_floor[event] = medians[OURS] / medians[FLOOR]
        times_faster[event] = medians[PYDANTIC] / medians[OURS]
        shown = " | ".join(f"{medians[name]:.2f}" for name in PARSERS)
        lines.append(
            f"| {event} | {len(BODIES[event])} | {shown} | {times_floor[event]:.2f} | {times_faster[event]:.2f} |"
        )
    slow = [event for event, times in times_floor.items() if times > MOST_TIMES_FLOOR]
    close = [event for event, times in times_faster.items() if times < LEAST_TIMES_FASTER]
    floor = f"at most {max(times_floor.values()):.2f} times {FLOOR}"
    faster = f"at least {min(times_faster.values()):.2f} times as fast as {PYDANTIC}"
    lines += [
        "",
        f"{OURS}: {floor} (target: at most {MOST_TIMES_FLOOR:g}: {_verdict(slow)})",
        f"{OURS}: {faster} (target: at least {LEAST_TIMES_FASTER:g}: {_verdict(close)})",
    ]
    return "\n".join(lines)


def _verdict(missed_by: list[str]) -> str:
    return f"MISSED by {', '.join(missed_by)}" if missed_by else "met"
