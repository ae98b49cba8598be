"""What the demonstration plays with: the list that ships, and when faults come."""

from __future__ import annotations

import csv
import re

from pidj_async.campaigns.preflight import Preflight
from pidj_async.campaigns.records import NewRecipient
from pidj_async.campaigns.settings import CampaignSettings
from pidj_async.campaigns.sources import SourceLine
from pidj_async.cli import demo_play
from pidj_async.cli.demo_play import CONCURRENCY, FAULTS, KILL_AFTER, TEMPLATE, shipped_recipients


def shipped() -> list[NewRecipient]:
    """Whom the list has, each number once, in its order."""
    settings = CampaignSettings(text=TEMPLATE, group_id="gr:1", hours="any")
    preflight = Preflight(settings)
    found: dict[str, NewRecipient] = {}
    with shipped_recipients().open(encoding="utf-8", newline="") as lines:
        reader = csv.DictReader(lines)
        for row in reader:
            checked = preflight.check(SourceLine(reader.line_num, row))
            if isinstance(checked, NewRecipient):
                found.setdefault(checked.phone_number, checked)
    return list(found.values())


def test_nobody_real_is_in_the_list() -> None:
    """Every number is one of those that are reserved for fiction, 555-0100 to 555-0199."""
    numbers = [each.phone_number for each in shipped()]
    assert [] == [number for number in numbers if not re.fullmatch(r"\+1[2-9]\d\d55501\d\d", number)]
    assert 50 < len({number[2:5] for number in numbers})


def test_faults_hit_nobody_whom_the_sandbox_refuses() -> None:
    """The demonstration's counts are the same every time only if a fault never takes the place of a refusal."""
    stopped = demo_play._who_opted_out(shipped_recipients())
    elsewhere = {line for line in stopped if line >= demo_play.ELSEWHERE_FROM}
    places = [place for place, each in enumerate(shipped()) if each.line in elsewhere]
    texts = [sum(fault["times"] for fault in faults) for faults in FAULTS.values()]
    # However late the process is killed, within reason: when twice as many texts are there as were meant to be.
    last = 2 * KILL_AFTER + max(FAULTS) + CONCURRENCY + sum(texts) + len(stopped) + len(demo_play.MEANWHILE)
    assert last < min(places)
    assert len(elsewhere) == len(places)
