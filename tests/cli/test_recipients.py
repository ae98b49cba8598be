"""The list that ships, and reading one."""

from __future__ import annotations

import re

from pidj_async.cli.demo import CONCURRENCY, FAULTS, TEMPLATE
from pidj_async.cli.recipients import Preflight, check_recipients, shipped_recipients

GROUP = "gr:1"


def shipped() -> Preflight:
    with shipped_recipients().open(encoding="utf-8", newline="") as lines:
        return check_recipients(lines, template=TEMPLATE, group_id=GROUP)


def test_the_shipped_list() -> None:
    """2,000 people, some of them invalid, duplicated or opted out."""
    preflight = shipped()
    assert 2_000 == preflight.lines
    assert (37, 43, 1_920) == (len(preflight.invalid), len(preflight.duplicates), len(preflight.recipients))
    assert 60 == sum(each.opted_out for each in preflight.recipients)


def test_nobody_real_is_in_it() -> None:
    """Every number is one of those that are reserved for fiction, 555-0100 to 555-0199."""
    numbers = [each.text.to_number for each in shipped().recipients]
    assert [] == [number for number in numbers if not re.fullmatch(r"\+1[2-9]\d\d55501\d\d", number)]
    assert 50 < len({number[2:5] for number in numbers})


def test_faults_hit_nobody_who_has_opted_out() -> None:
    """The demonstration's counts are the same every time only if a fault never takes the place of a refusal."""
    recipients = shipped().recipients
    for moment, faults in FAULTS.items():
        reach = moment + CONCURRENCY + sum(fault["times"] for fault in faults)
        assert not any(each.opted_out for each in recipients[max(0, moment - 250) : reach])


def test_each_line_is_in_one_of_three_places() -> None:
    """A line is a recipient, invalid with its number in the file and the reason, or a duplicate."""
    lines = [
        "phone_number,first_name,opted_out\n",
        "+12025550100,Jo,\n",
        ' +12025550101 ,"Ann\nMarie",yes\n',
        "202-555-0102,Bo,\n",
        "+12025550100,Joe,\n",
        ",Cy,\n",
        "+12025550103\n",
        "\n",
    ]
    preflight = check_recipients("".join(lines).splitlines(keepends=True), template="Hi {first_name}", group_id=GROUP)
    assert 6 == preflight.lines
    seen = [(each.line, each.text.to_number, each.text.text_body, each.opted_out) for each in preflight.recipients]
    expected = [
        (2, "+12025550100", "Hi Jo", False),
        (4, "+12025550101", "Hi Ann\nMarie", True),
        (8, "+12025550103", "Hi ", False),
    ]
    assert expected == seen
    assert (6,) == preflight.duplicates
    assert [5, 7] == [each.line for each in preflight.invalid]
    reasons = [each.reason for each in preflight.invalid]
    assert ["to number must be in E.164 format; got '20********02'", "there is no phone number"] == reasons
