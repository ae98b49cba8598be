"""Campaigns: text many people, nobody twice, nobody who said STOP.

::

    async with Store("sqlite:///pidj.db") as store, Pidj.from_env() as pidj:
        campaign = Campaign(store, "spring", client=pidj, text="Hi {first_name}", group_id="gr:...")
        report = await campaign.add("people.csv")
        status = await campaign.run()

How the data travels::

    source -> preflight -> ledger -> claim -> pace -> send -> verdict -> ledger
                             ^ suppressions, looked at inside the claim

``states`` has the table of what may follow what, ``ledger`` all that is written, ``runner`` the loop that claims, sends
and settles, ``campaign`` what a user holds. ``sources``, ``template``, ``numbers``, ``hours`` and ``preflight`` make
recipients of lines, ``verdicts`` says what a reply means for a recipient. It needs the extra ``campaigns``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pidj_async.errors import ConfigurationError

if TYPE_CHECKING:
    from pidj_async.campaigns.campaign import Campaign, Outcomes, Progress
    from pidj_async.campaigns.hours import Hours
    from pidj_async.campaigns.preflight import PreflightReport
    from pidj_async.campaigns.records import CampaignRecord, CampaignStatus, LogEntry, RecipientRecord
    from pidj_async.campaigns.runner import CampaignOutcome
    from pidj_async.campaigns.settings import CampaignSettings
    from pidj_async.campaigns.sources import from_contacts, from_csv, from_iterable, from_json_lines
    from pidj_async.campaigns.states import CampaignState, RecipientState

_HOME_OF = {
    "Campaign": "campaign",
    "CampaignOutcome": "runner",
    "CampaignRecord": "records",
    "CampaignSettings": "settings",
    "CampaignState": "states",
    "CampaignStatus": "records",
    "Hours": "hours",
    "LogEntry": "records",
    "Outcomes": "campaign",
    "PreflightReport": "preflight",
    "Progress": "campaign",
    "RecipientRecord": "records",
    "RecipientState": "states",
    "from_contacts": "sources",
    "from_csv": "sources",
    "from_iterable": "sources",
    "from_json_lines": "sources",
}

__all__ = [
    "Campaign",
    "CampaignOutcome",
    "CampaignRecord",
    "CampaignSettings",
    "CampaignState",
    "CampaignStatus",
    "Hours",
    "LogEntry",
    "Outcomes",
    "PreflightReport",
    "Progress",
    "RecipientRecord",
    "RecipientState",
    "from_contacts",
    "from_csv",
    "from_iterable",
    "from_json_lines",
]


def __getattr__(name: str) -> Any:  # PEP 562: whoever only names a state needs no database
    if name not in _HOME_OF:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    try:
        value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"sqlalchemy", "phonenumbers"}:
            raise
        msg = f'campaigns need {error.name}; install it with: pip install "pidj-async[campaigns]"'
        raise ConfigurationError(msg) from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
