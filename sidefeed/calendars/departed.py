"""A rep who left: future meetings go to somebody else, past ones stay as they were, private ones are nobody's business.

Only owners change, in the log like every other change, so that it shows in blame and can be taken back. No calendar is
written, and nothing is read from the mailbox for it. What the rep who left hid stays hidden, in colleagues' calendars
too.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import sqlalchemy as sa

from sidefeed.calendars import copies
from sidefeed.workspace import Draft, RecordState, StoreError, Transaction
from sidefeed.workspace import tables as t
from sidefeed.workspace.clock import utc_text
from sidefeed.workspace.report import label


@dataclass(slots=True)
class HandOver:
    """What a hand-over does: meetings that change their owner, how many past ones stay, and meetings planned here in
    the calendar of the rep who left, which only a person can plan again."""

    rep: str
    to: str
    handed_over: list[str] = field(default_factory=list)
    past: int = 0
    to_plan_again: list[str] = field(default_factory=list)
    blocks_forgotten: int = 0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def hand_over(tx: Transaction, rep: str, to: str, *, actor: str, dry_run: bool = False) -> HandOver:
    """Give the future meetings of one rep to another. Raises StoreError where either is no user."""
    leaver, heir = _user(tx, rep), _user(tx, to)
    if leaver.id == heir.id:
        raise StoreError(f"{rep} cannot hand over to the same person.")
    done = HandOver(rep.casefold(), to.casefold())
    now = utc_text(tx.store.now())
    drafts = []
    for state in [one for one in tx.each_record("meeting") if not one.deleted]:
        if state.values.get("owner") != leaver.id:
            continue
        ends = str((state.values.get("when") or {}).get("end") or "")
        if ends < now[:len(ends)]:
            done.past += 1
            continue
        if state.values.get("planned_in"):
            done.to_plan_again.append(label(state))
        done.handed_over.append(label(state))
        drafts.append(Draft("meeting", state.id, {"owner": heir.id}, actor, "workspace",
                            reason=f"{rep} left; {to} takes over"))
    blocks, open_to_all = t.busy.c.mailbox == rep.casefold(), t.busy.c.level == "full"
    done.blocks_forgotten = tx.connection.execute(
        sa.select(sa.func.count()).select_from(t.busy).where(blocks, open_to_all)).scalar_one()
    if not dry_run:
        tx.append(drafts)
        tx.connection.execute(t.busy.delete().where(blocks, open_to_all))
        tx.connection.execute(t.busy.update().where(blocks).values(show_as="free", verdict=copies.DEPARTED))
    return done


def _user(tx: Transaction, email: str) -> RecordState:
    found = [state for state in tx.each_record("user") if not state.deleted and state.merged_into is None
             and str(state.values.get("email") or "").casefold() == email.strip().casefold()]
    if len(found) != 1:
        how_many = f"{len(found)} users" if found else "no user"
        raise StoreError(
            f"{email!r} is {how_many} of the workspace; name one by the e-mail address that the CRMs know.")
    return found[0]
