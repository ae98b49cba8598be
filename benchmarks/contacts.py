"""``python -m benchmarks contacts``: a large account, read while it arrives and read at once.

``python -m benchmarks.contacts JOB`` is the part that runs in a process of its own, and ``python -m benchmarks.contacts
N`` the server.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from statistics import median
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import attrs

from benchmarks._child import ROOT, perform, say
from benchmarks._host import cores, memory, peak_memory, pin
from benchmarks.texts import ACCOUNT_KEY, TOKEN

if TYPE_CHECKING:
    from pidj_async import Pidj

__all__ = [
    "AT_ONCE",
    "BY_HAND",
    "LIST",
    "PIECEWISE",
    "READERS",
    "STREAM",
    "ContactsFigures",
    "ContactsOptions",
    "MissingContactsError",
    "Reading",
    "ReadingJob",
    "measure_contacts",
    "perform_reading",
    "pieces_of",
    "report_contacts",
    "serve",
]

STREAM: Final = "contacts.stream()"
LIST: Final = "contacts.list()"
BY_HAND: Final = "httpx and json.loads"
PIECEWISE: Final = "decoding alone, piece by piece"
AT_ONCE: Final = "decoding alone, at once"

TARGET_RATIO: Final = 0.5
TARGET_MEMORY: Final = 150e6
"""Bytes, with a million contacts."""

_TIME_LIMIT: Final = 600.0
_BLOCK: Final = 500  # contacts that are written at a time
_PIECE: Final = 64 * 1024
_ENOUGH: Final = 10**12  # bytes: no reply is larger


@attrs.frozen(kw_only=True)
class ContactsOptions:
    """What to measure; see ``python -m benchmarks --help``."""

    contacts: int = 1_000_000
    rounds: int = 3


@attrs.frozen(kw_only=True)
class ReadingJob:
    """What to run: the name of one of `READERS`, the server's address, how many contacts, and on which core."""

    reader: str
    base_url: str
    contacts: int
    core: int | None = None


@attrs.frozen(kw_only=True)
class Reading:
    """What came of it.

    Attributes:
        contacts: How many were read.
        seconds: How long it took.
        cpu_seconds: The process's CPU.
        peak: The most that the process had in memory, in bytes.
        before: What it had in memory when it began.
    """

    contacts: int
    seconds: float
    cpu_seconds: float
    peak: int
    before: int


@attrs.frozen(kw_only=True)
class ContactsFigures:
    """Everything that was measured, by the reader's name."""

    readings: Mapping[str, tuple[Reading, ...]]


# ------------------------------------------------------------------------------------------------------------ the reply


def _contact(number: int) -> dict[str, Any]:
    return {
        "id": f"co:8b9ac71a-2b2a-50fd-9280-{number:012}",
        "first_name": "Maria",
        "last_name": f"González {number}",
        "business_name": None,
        "display_name": f"Maria González {number}",
        "email_address": f"maria.{number}@example.com",
        "phone_number": f"+1888{number:07}",
        "phone_office": None,
        "phone_fax": None,
        "timezone": "America/Denver",
        "tags": ["vip", "newsletter"],
        "external_id": f"crm-{number}",
    }


def pieces_of(contacts: int) -> Iterator[bytes]:
    """The reply to ``GET /contacts``, as PHP writes it, some hundred contacts at a time.

    They are the same ones again and again: the server is not to be the limit.
    """
    yield b'{"code":200,"status":"success","contacts":['
    block = _written(_BLOCK)
    for place in range(contacts // _BLOCK):
        yield b"," + block if place else block
    if rest := contacts % _BLOCK:
        yield (b"," if contacts > _BLOCK else b"") + _written(rest)
    yield b"]}"


def _written(count: int) -> bytes:
    text = json.dumps([_contact(number) for number in range(count)], separators=(",", ":")).replace("/", "\\/")
    return text[1:-1].encode()


@asynccontextmanager
async def serve(contacts: int) -> AsyncGenerator[int, None]:
    """Serve the reply on a free port of the loopback, chunk by chunk, and yield the port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
            for piece in pieces_of(contacts):
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                await writer.drain()
            writer.write(b"0\r\n\r\n")
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has what it wanted
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


# ---------------------------------------------------------------------------------------------------------- the readers

Reader = Callable[[], Awaitable[int]]


def _pidj(base_url: str) -> Pidj:
    from pidj_async import HttpxTransport, Pidj  # noqa: PLC0415  each process imports what it measures

    transport = HttpxTransport(max_response_bytes=_ENOUGH)
    return Pidj(account_key=ACCOUNT_KEY, token=TOKEN, base_url=base_url, transport=transport, deadline=_TIME_LIMIT)


def _stream(job: ReadingJob) -> Reader:
    pidj = _pidj(job.base_url)

    async def read() -> int:
        count = 0
        async for _ in pidj.contacts.stream():
            count += 1
        return count

    return read


def _list(job: ReadingJob) -> Reader:
    pidj = _pidj(job.base_url)

    async def read() -> int:
        return len(await pidj.contacts.list())

    return read


def _by_hand(job: ReadingJob) -> Reader:
    import httpx  # noqa: PLC0415  as above

    async def read() -> int:
        async with httpx.AsyncClient(timeout=_TIME_LIMIT) as client:
            return len((await client.get(f"{job.base_url}/contacts")).json()["contacts"])

    return read


def _at_once(job: ReadingJob) -> Reader:
    from pidj_async.endpoints import BY_NAME  # noqa: PLC0415  as above
    from pidj_async.sansio import WireResponse, parse_result  # noqa: PLC0415

    response = WireResponse(status_code=200, headers={}, content=b"".join(pieces_of(job.contacts)))

    async def read() -> int:
        return len(parse_result(BY_NAME["contacts.list"], response))

    return read


def _piecewise(job: ReadingJob) -> Reader:
    from pidj_async.endpoints import BY_NAME  # noqa: PLC0415  as above
    from pidj_async.incremental import ItemReader  # noqa: PLC0415

    whole = b"".join(pieces_of(job.contacts))

    async def read() -> int:
        reader: ItemReader[Any] = ItemReader(BY_NAME["contacts.list"], status_code=200, headers={})
        count = sum(len(reader.feed(whole[start : start + _PIECE])) for start in range(0, len(whole), _PIECE))
        return count + len(reader.finish())

    return read


READERS: Mapping[str, Callable[[ReadingJob], Reader]] = MappingProxyType(
    {STREAM: _stream, LIST: _list, BY_HAND: _by_hand, PIECEWISE: _piecewise, AT_ONCE: _at_once}
)
"""By name: what gets ready to read, and returns what reads."""


async def perform_reading(job: ReadingJob) -> Reading:
    """Read once, and say what it took."""
    read = READERS[job.reader](job)
    before = memory()
    start, cpu = time.perf_counter(), time.process_time()
    contacts = await read()
    return Reading(
        contacts=contacts,
        seconds=time.perf_counter() - start,
        cpu_seconds=time.process_time() - cpu,
        peak=peak_memory(),
        before=before,
    )


# ------------------------------------------------------------------------------------------------------- in processes


class MissingContactsError(RuntimeError):
    """A reader has not read what the server sent: its figures mean nothing."""


def measure_contacts(options: ContactsOptions) -> ContactsFigures:
    """Let every reader read, in turns, each time in a process of its own."""
    server_core, client_core = cores()
    readings: dict[str, list[Reading]] = {name: [] for name in READERS}
    with _server(options.contacts, server_core) as port:
        for number in range(options.rounds):
            for name, found in readings.items():
                say(f"round {number + 1}/{options.rounds} {name}")
                job = ReadingJob(
                    reader=name,
                    base_url=f"http://127.0.0.1:{port}/api/2020",
                    contacts=options.contacts,
                    core=client_core,
                )
                found.append(Reading(**perform("benchmarks.contacts", job, limit=_TIME_LIMIT)))
                if found[-1].contacts != options.contacts:
                    msg = f"{name} read {found[-1].contacts} of {options.contacts} contacts"
                    raise MissingContactsError(msg)
    say("")
    return ContactsFigures(readings={name: tuple(found) for name, found in readings.items()})


@contextmanager
def _server(contacts: int, core: int | None) -> Generator[int]:
    with subprocess.Popen(  # noqa: S603  our own interpreter and our own module
        [sys.executable, "-m", "benchmarks.contacts", str(contacts), *([] if core is None else [str(core)])],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()  # its sign to end
            process.wait(timeout=30)


async def _serve_until_input_ends(contacts: int) -> None:
    async with serve(contacts) as port:
        print(port, flush=True)
        await asyncio.to_thread(sys.stdin.read)


def report_contacts(options: ContactsOptions, figures: ContactsFigures) -> str:
    """The table, and how it stands against the targets."""
    lines = [
        f"{options.contacts:,} contacts; medians of {options.rounds} rounds, the greatest memory of all.",
        "",
        "| reader | seconds | CPU us/contact | contacts/s | memory MB | of that before |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    seconds = {}
    for name, found in figures.readings.items():
        seconds[name] = median(one.seconds for one in found)
        networked = name in {STREAM, LIST, BY_HAND}  # the others hold the whole reply to begin with
        cells = (
            name,
            f"{seconds[name]:.2f}",
            f"{median(one.cpu_seconds for one in found) / options.contacts * 1e6:.2f}",
            f"{options.contacts / seconds[name]:,.0f}",
            f"{max(one.peak for one in found) / 1e6:,.0f}" if networked else "-",
            f"{max(one.before for one in found) / 1e6:,.0f}" if networked else "-",
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines.append("")
    for name, whole in ((STREAM, LIST), (PIECEWISE, AT_ONCE)):
        ratio = seconds[whole] / seconds[name]
        met = "met" if ratio >= TARGET_RATIO else "MISSED"
        lines.append(f"{name}: {ratio:.2f} times as fast as {whole} (target: at least {TARGET_RATIO:g}: {met})")
    peak = max(one.peak for one in figures.readings[STREAM])
    met = "met" if peak < TARGET_MEMORY else "MISSED"
    lines.append(f"{STREAM}: {peak / 1e6:,.0f} MB at most (target: under {TARGET_MEMORY / 1e6:g}: {met})")
    return "\n".join(lines)


if __name__ == "__main__":
    if sys.argv[1].startswith("{"):
        the_job = ReadingJob(**json.loads(sys.argv[1]))
        pin(the_job.core)
        print(json.dumps(attrs.asdict(asyncio.run(perform_reading(the_job)))))
    else:
        pin(int(sys.argv[2]) if len(sys.argv) > 2 else None)
        asyncio.run(_serve_until_input_ends(int(sys.argv[1])))
