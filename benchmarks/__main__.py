"""The command line; see README.md."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import attrs

from benchmarks.calls import Options, measure, report
from benchmarks.contenders import CONTENDERS, TRANSPORTS
from benchmarks.imports import measure_imports, report_imports
from benchmarks.rivals import PACKAGES

__all__ = ["main"]


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        msg = f"must be at least 1; got {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return number


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 60:
        msg = f"must be greater than 0 and at most 60; got {text!r}"
        raise argparse.ArgumentTypeError(msg)
    return seconds


def _latency(text: str) -> float:
    """``50ms``, ``0.05s`` or ``0.05``."""
    number, factor = (text.removesuffix("ms"), 1_000.0) if text.endswith("ms") else (text.removesuffix("s"), 1.0)
    return _seconds(str(float(number) / factor)) if float(number) else 0.0


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(_at_least_one(one) for one in text.split(","))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="What calls, campaigns, large accounts, imports, events and their storing cost.",
    )
    parser.add_argument("what", nargs="?", choices=list(_KINDS), default="calls")
    parser.add_argument("--concurrency", type=_numbers, default=None, metavar="N,N,...")
    parser.add_argument(
        "--requests",
        type=_at_least_one,
        default=None,
        metavar="N",
        help="per run: 100,000 at most for calls, 1,000,000 for endurance, as many contacts, 100,000 recipients",
    )
    parser.add_argument(
        "--seconds",
        type=_seconds,
        default=None,
        metavar="S",
        help="at most, per run; 2, 3 for ingest, 5 for whoever is measured beside a campaign",
    )
    parser.add_argument(
        "--rounds",
        type=_at_least_one,
        default=None,
        metavar="N",
        help="3 for calls, campaigns and contacts, 15 for imports, 5 for ingest, 300 for parsing",
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=list(CONTENDERS),
        metavar="NAME",
        help=f"may be repeated; {'; '.join(CONTENDERS)}",
    )
    parser.add_argument(
        "--distinct-heads", action="store_true", help="ingest: each request has a header of its own, as behind a proxy"
    )
    parser.add_argument(
        "--latency", type=_latency, default=0.0, metavar="TIME", help="what the server waits, such as 50ms; calls only"
    )
    parser.add_argument(
        "--server-sleeps", action="store_true", help="calls: the server waits as others do; see the README for why not"
    )
    parser.add_argument("--transport", choices=TRANSPORTS, default=None, help="of ours, for endurance and campaigns")
    parser.add_argument(
        "--scale", type=_numbers, metavar="N,N,...", help="campaigns: of these sizes, and nobody beside them"
    )
    parser.add_argument(
        "--postgresql",
        nargs="?",
        const="",
        metavar="URL",
        help="campaigns: the ledger there, instead of on SQLite; without a URL on a server out of a wheel",
    )
    parser.add_argument("--require-all", action="store_true", help="fail if a contender is not installed")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="draw the calls there: .svg, .png or .pdf")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every single run there")
    return parser


def _calls(given: argparse.Namespace) -> int:
    usual = Options()
    options = Options(
        concurrency=given.concurrency or usual.concurrency,
        requests=given.requests or usual.requests,
        seconds=given.seconds or usual.seconds,
        rounds=given.rounds or usual.rounds,
        latency=given.latency,
        server_sleeps=given.server_sleeps,
        only=tuple(name for name in CONTENDERS if name in (given.only or CONTENDERS)),
    )
    if given.require_all and options.measured != options.only:
        lacking = " ".join(PACKAGES[name] for name in options.only if name not in options.measured)
        print(f"not everything is installed that was to be measured: pip install {lacking}", file=sys.stderr)
        return 1
    figures = measure(options)
    print(report(options, figures))
    _write(given.json, attrs.asdict(figures))
    if given.chart is not None:
        from benchmarks.chart import draw  # noqa: PLC0415  who draws nothing needs no matplotlib

        draw(options, figures, given.chart)
    return 0


def _campaigns(given: argparse.Namespace) -> int:
    from benchmarks.campaigns import (  # noqa: PLC0415  what it needs may not be installed
        CampaignOptions,
        measure_campaigns,
        report_campaigns,
        report_scale,
    )

    usual = CampaignOptions()
    options = CampaignOptions(
        concurrency=given.concurrency or usual.concurrency,
        recipients=given.requests or usual.recipients,
        scale=given.scale or usual.scale,
        seconds=given.seconds or usual.seconds,
        rounds=given.rounds or usual.rounds,
        transport=given.transport or usual.transport,
        postgresql=given.postgresql,
    )
    figures = measure_campaigns(options)
    print((report_scale if options.scale else report_campaigns)(options, figures))
    _write(given.json, attrs.asdict(figures))
    return 0


def _contacts(given: argparse.Namespace) -> int:
    from benchmarks.contacts import ContactsOptions, measure_contacts, report_contacts  # noqa: PLC0415  only if wanted

    usual = ContactsOptions()
    options = ContactsOptions(contacts=given.requests or usual.contacts, rounds=given.rounds or usual.rounds)
    figures = measure_contacts(options)
    print(report_contacts(options, figures))
    _write(given.json, attrs.asdict(figures))
    return 0


def _endurance(given: argparse.Namespace) -> int:
    from benchmarks.endurance import EnduranceJob, measure_endurance, report_endurance  # noqa: PLC0415  only if wanted

    usual = EnduranceJob()
    job = EnduranceJob(transport=given.transport or usual.transport, requests=given.requests or usual.requests)
    endured = measure_endurance(job)
    print(report_endurance(job, endured))
    _write(given.json, attrs.asdict(endured))
    return 0


def _imports(given: argparse.Namespace) -> int:
    seconds = measure_imports(given.rounds or 15)
    print(report_imports(seconds))
    _write(given.json, seconds)
    return 0


def _ingest(given: argparse.Namespace) -> int:
    from benchmarks.ingest import (  # noqa: PLC0415  what it needs may not be installed
        IngestOptions,
        measure_ingest,
        report_ingest,
    )

    usual = IngestOptions()
    options = IngestOptions(
        seconds=given.seconds or usual.seconds,
        rounds=given.rounds or usual.rounds,
        distinct_heads=given.distinct_heads,
    )
    figures = measure_ingest(options)
    print(report_ingest(options, figures))
    _write(given.json, attrs.asdict(figures))
    return 0


def _parsing(given: argparse.Namespace) -> int:
    from benchmarks.parsing import measure_parsing, report_parsing  # noqa: PLC0415  its rivals may not be installed

    microseconds = measure_parsing(given.rounds or 300)
    print(report_parsing(microseconds))
    _write(given.json, microseconds)
    return 0


_KINDS = {
    "calls": _calls,
    "campaigns": _campaigns,
    "contacts": _contacts,
    "endurance": _endurance,
    "imports": _imports,
    "ingest": _ingest,
    "parsing": _parsing,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return the exit status."""
    given = _parser().parse_args(arguments)
    return _KINDS[given.what](given)


def _write(path: Path | None, figures: object) -> None:
    if path is not None:
        path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
