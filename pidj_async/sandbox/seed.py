"""What every sandbox knows when it starts: four groups, one series, one survey. Everything else is empty.

========================  ===============  ==================  =====================================
constant                  name             number              consent
========================  ===============  ==================  =====================================
``GROUP_ID``              Front desk       ``+18885550100``    set up: contacts have to be asked
``PLAIN_GROUP_ID``        Sales            ``+18885550101``    not set up
``EXEMPT_GROUP_ID``       Alerts           ``+18885550102``    the group is exempt
``NUMBERLESS_GROUP_ID``   Back office      none                set up, but it cannot text
``SERIES_ID``             Welcome          (may be sent from the first two groups)
``SURVEY_ID``             How did we do?   (an introduction and a question)
========================  ===============  ==================  =====================================
"""

from __future__ import annotations

from enum import Enum
from typing import Final

import attrs

__all__ = [
    "ACCOUNT_TIMEZONE",
    "EXEMPT_GROUP_ID",
    "GROUPS",
    "GROUP_ID",
    "GROUP_NUMBER",
    "NUMBERLESS_GROUP_ID",
    "PLAIN_GROUP_ID",
    "PLAIN_GROUP_NUMBER",
    "SERIES",
    "SERIES_ID",
    "SURVEYS",
    "SURVEY_ID",
    "ConsentSetting",
    "Group",
    "Series",
    "Survey",
]

ACCOUNT_TIMEZONE: Final = "America/Denver"
"""What a contact or user gets when no time zone is given."""

GROUP_ID: Final = "gr:00000000-0000-5000-8000-000000000001"
"""The group to text from: it has a number, and consent is set up."""

GROUP_NUMBER: Final = "+18885550100"
"""The number of `GROUP_ID`."""

PLAIN_GROUP_ID: Final = "gr:00000000-0000-5000-8000-000000000002"
"""A group with a number, where consent is not set up."""

PLAIN_GROUP_NUMBER: Final = "+18885550101"
"""The number of `PLAIN_GROUP_ID`."""

EXEMPT_GROUP_ID: Final = "gr:00000000-0000-5000-8000-000000000003"
"""A group with a number that is exempt from the consent settings."""

NUMBERLESS_GROUP_ID: Final = "gr:00000000-0000-5000-8000-000000000004"
"""A group without a phone number: it cannot text."""

SERIES_ID: Final = "ts:00000000-0000-5000-8000-000000000001"
"""A series to subscribe people to."""

SURVEY_ID: Final = "sv:00000000-0000-5000-8000-000000000001"
"""A survey to send."""


class ConsentSetting(Enum):
    """What a group's settings say about consent."""

    NOT_SET_UP = "not set up"
    REQUIRED = "required"
    EXEMPT = "exempt"


@attrs.frozen
class Group:
    """A group of the account."""

    id: str
    name: str
    phone_number: str | None
    color: str | None
    consent: ConsentSetting


@attrs.frozen
class Series:
    """A series of the account."""

    id: str
    name: str
    group_ids: tuple[str, ...]


@attrs.frozen
class Survey:
    """A survey of the account."""

    id: str
    name: str
    introduction: str
    first_question: str


GROUPS: Final = (
    Group(GROUP_ID, "Front desk", GROUP_NUMBER, "#2e7d32", ConsentSetting.REQUIRED),
    Group(PLAIN_GROUP_ID, "Sales", PLAIN_GROUP_NUMBER, "rgb(21, 101, 192)", ConsentSetting.NOT_SET_UP),
    Group(EXEMPT_GROUP_ID, "Alerts", "+18885550102", "crimson", ConsentSetting.EXEMPT),
    Group(NUMBERLESS_GROUP_ID, "Back office", None, None, ConsentSetting.REQUIRED),
)
"""The groups of every sandbox."""

SERIES: Final = (Series(SERIES_ID, "Welcome", (GROUP_ID, PLAIN_GROUP_ID)),)
"""The series of every sandbox."""

SURVEYS: Final = (Survey(SURVEY_ID, "How did we do?", "Thank you for your visit.", "How many stars, 1 to 5?"),)
"""The surveys of every sandbox."""
