"""What people decided once and for all about meetings, kept in the log like every other change.

A rule is a record of the entity ``rule`` with these fields:

kind   ``deal``: meetings of this kind are filed there; ``privacy``: they leave at no wider level than this
of     ``meeting:<key>``, ``series:<uid>``, ``contact:<record>`` or ``mailbox:<address>``; about the privacy of one
       meeting ``meeting:<key> <mailbox of who chose>``
value  ``opportunity:<record>`` or a level

A rule about a deal lapses when the deal closes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from sidefeed.calendars.policy import Level, tightest
from sidefeed.workspace import DELETED, Draft, Transaction

RULE = "rule"
Kind = Literal["deal", "privacy"]


class Rules:
    """Every rule in force."""

    def __init__(self, tx: Transaction) -> None:
        self._by: dict[tuple[str, str], str] = {
            (str(state.values["kind"]), str(state.values["of"])): str(state.values["value"])
            for state in tx.each_record(RULE) if not state.deleted}
        self._hidden: dict[str, Level] = {}
        for (kind, of), level in self._by.items():
            if kind == "privacy" and of.startswith("meeting:"):
                key = of.removeprefix("meeting:").partition(" ")[0]
                self._hidden[key] = tightest(self._hidden.get(key, "full"), level)  # type: ignore[arg-type]

    def privacy(self, key: str | None, mailbox: str) -> Level:
        """The widest level that people leave a meeting of this mailbox: its owner all of theirs, and everybody in the
        meeting this one."""
        own = self._by.get(("privacy", f"mailbox:{mailbox}"), "full")
        return tightest(own, self._hidden.get(key or "", "full"))  # type: ignore[arg-type]

    def deals(self, key: str | None, uid: str | None, contacts: Iterable[str]) -> list[str]:
        """Deals that rules name for a meeting: the closest rule alone, or all that its people's rules name."""
        for of in (f"meeting:{key}", f"series:{uid}"):
            if (deal := self._by.get(("deal", of))) is not None:
                return [deal]
        return sorted({deal for contact in contacts
                       if (deal := self._by.get(("deal", f"contact:{contact}"))) is not None})


def rules_of(tx: Transaction, kind: Kind | None = None) -> list[dict[str, Any]]:
    """Every rule in force, as plain data."""
    return [{"id": state.id, **state.values} for state in tx.each_record(RULE)
            if not state.deleted and kind in (None, state.values.get("kind"))]


def decide(tx: Transaction, kind: Kind, of: str, value: str, *, actor: str, reason: str) -> None:
    """Make a rule, or change the one that is there."""
    known = _known(tx, kind, of)
    tx.append([Draft(RULE, known or tx.new_id(), {"kind": kind, "of": of, "value": value, DELETED: False}, actor,
                     "workspace", reason=reason)])


def end(tx: Transaction, kind: Kind, of: str, *, actor: str, reason: str) -> bool:
    """End a rule; false where there is none."""
    known = _known(tx, kind, of)
    if known is not None:
        tx.append([Draft(RULE, known, {DELETED: True}, actor, "workspace", reason=reason)])
    return known is not None


def _known(tx: Transaction, kind: Kind, of: str) -> str | None:
    tx.flush()
    wanted: Mapping[str, str] = {"kind": kind, "of": of}
    return next((state.id for state in tx.each_record(RULE)
                 if all(state.values.get(name) == value for name, value in wanted.items())), None)
