"""The ledger: one row for each recipient of a campaign, and what has become of it.

``changes`` holds every change of a recipient's state, ``turns`` the one that is made most often (settle, claim),
``table`` whatever else is read and written, ``ledger`` the `Ledger` that does these in transactions. The rules:

1. A change of state is made by a statement of `changes.change`, which refuses what is not in `states.TRANSITIONS` and
   names the state before in its condition: of two who want to change a row, one finds that there is nothing to change.
2. Whoever claims a row raises its fence, and so does whoever takes a claim away. A claim is settled only with the
   latest fence, by its worker.
3. The suppression list is looked at in the transaction that claims, which keeps the list from changing
   (`Purpose.SUPPRESSIONS`): an opt-out that was committed before a claim is seen by it.
4. Locks are taken in one order: suppressions, campaign, worker, recipients. What others have locked is passed over.
5. No transaction changes more than some thousand rows: others want to write too.
"""

from __future__ import annotations

from pidj_async.campaigns.ledger.ledger import Ledger
from pidj_async.campaigns.records import AddResult, Turn

__all__ = ["AddResult", "Ledger", "Turn"]
