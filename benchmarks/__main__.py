"""The command line; see README.md."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import attrs

from benchmarks.calls import Options, measure, report
from benchmarks.contenders import CONTENDERS
from benchmarks.imports import measure_imports, report_imports

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


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(_at_least_one(one) for one in text.split(","))


def _parser() -> argparse.ArgumentParser:
    usual = Options()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="What a call, an import, an event and its storing cost."
    )
    parser.add_argument("what", nargs="?", choices=["calls", "imports", "ingest", "parsing"], default="calls")
    parser.add_argument("--concurrency", type=_numbers, default=usual.concurrency, metavar="N,N,...")
    parser.add_argument("--requests", type=_at_least_one, default=usual.requests, metavar="N", help="at most, per run")
    parser.add_argument("--seconds", type=_seconds, default=None, metavar="S", help="at most, per run; 2, 3 for ingest")
    parser.add_argument(
        "--rounds",
        type=_at_least_one,
        default=None,
        metavar="N",
        help="3 for calls, 15 for imports, 5 for ingest, 300 for parsing",
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
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every single run there")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return the exit status."""
    given = _parser().parse_args(arguments)
    if given.what == "imports":
        seconds = measure_imports(given.rounds or 15)
        print(report_imports(seconds))
        _write(given.json, seconds)
        return 0
    if given.what == "parsing":
        from benchmarks.parsing import measure_parsing, report_parsing  # noqa: PLC0415  its rivals may not be installed

        microseconds = measure_parsing(given.rounds or 300)
        print(report_parsing(microseconds))
        _write(given.json, microseconds)
        return 0
    if given.what == "ingest":
        from benchmarks.ingest import IngestOptions, measure_ingest, report_ingest  # noqa: PLC0415  as above

        ingest = IngestOptions()
        ingest = attrs.evolve(
            ingest,
            seconds=given.seconds or ingest.seconds,
            rounds=given.rounds or ingest.rounds,
            distinct_heads=given.distinct_heads,
        )
        ingested = measure_ingest(ingest)
        print(report_ingest(ingest, ingested))
        _write(given.json, attrs.asdict(ingested))
        return 0
    options = Options(
        concurrency=given.concurrency,
        requests=given.requests,
        seconds=given.seconds or Options().seconds,
        rounds=given.rounds or Options().rounds,
        only=tuple(name for name in CONTENDERS if name in (given.only or CONTENDERS)),
    )
    figures = measure(options)
    print(report(options, figures))
    _write(given.json, attrs.asdict(figures))
    return 0


def _write(path: Path | None, figures: object) -> None:
    if path is not None:
        path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
