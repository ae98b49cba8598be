"""How far a campaign is, in words, and the commands that go on."""

from __future__ import annotations

import shlex

import click
import pytest

from pidj_async.campaigns.records import CampaignStatus
from pidj_async.campaigns.states import CampaignState, RecipientState
from pidj_async.cli.campaign_status import command_line, ended, in_words
from pidj_async.cli.settings import Settings

_S = RecipientState


def status(state: CampaignState, **counts: int) -> CampaignStatus:
    found = dict.fromkeys(_S, 0) | {RecipientState[name.upper()]: count for name, count in counts.items()}
    return CampaignStatus(id="spring", state=state, reason=None, counts=found, invalid=0, duplicate=0)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (status(CampaignState.DONE, sent=5, rejected=2, suppressed=1), 0),
        (status(CampaignState.DONE, sent=5, in_doubt=1), 11),
        (status(CampaignState.DONE, abandoned=1), 0),
        (status(CampaignState.PAUSED, ready=5), 12),
        (status(CampaignState.PAUSED, in_doubt=5, ready=1), 12),
        (status(CampaignState.CANCELLED, cancelled=5), 12),
    ],
)
def test_a_code_for_each_end(given: CampaignStatus, expected: int) -> None:
    """Whoever was held up has something to do first, whatever is in doubt."""
    assert expected == ended(given)


def test_states_in_words() -> None:
    """What is done first, and states that nobody is in are left out."""
    counts = {_S.READY: 1_200, _S.SENT: 3, _S.IN_DOUBT: 0, _S.PENDING: 7}
    assert "3 sent, 7 waiting for their hours, 1,200 waiting" == in_words(counts)
    assert "" == in_words({})


def context(**given: str) -> click.Context:
    settings = Settings(account_key="key", token="t0ken-nobody-may-see", base_url=given.pop("base_url", None))
    settings.given = {"token", "account_key"} | ({"base_url"} if settings.base_url else set())
    made = click.Context(click.Command("run"), obj=settings)
    made.params.update(given)
    for name in given:
        made.set_parameter_source(name, click.core.ParameterSource.COMMANDLINE)
    return made


def test_a_command_that_goes_on_has_no_secret() -> None:
    """It has the store and the address that were given, quoted for a shell, but neither a password nor a token."""
    url = "postgresql://shop:hunter2@db.example/pidj"
    with context(store_url=url, base_url="https://example.org/api"):
        told = command_line("resume", "spring sale")
    words = ["pidj", "campaign", "resume", "spring sale", "--store", "postgresql://shop:***@db.example/pidj"]
    assert [*words, "--base-url", "https://example.org/api"] == shlex.split(told)


def test_what_the_environment_says_is_not_repeated() -> None:
    """It will say the same next time."""
    made = context()
    made.params["store_url"] = "sqlite:///elsewhere.db"
    made.set_parameter_source("store_url", click.core.ParameterSource.ENVIRONMENT)
    with made:
        assert "pidj campaign status spring" == command_line("status", "spring")
