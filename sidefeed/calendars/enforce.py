"""Bring what left already into line with what may leave now, after somebody chose another level of privacy, or said
otherwise which tools file meetings too."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from sidefeed.calendars import busy, forget
from sidefeed.calendars.policy import TITLE_HIDES, Level, publishes, tightest
from sidefeed.calendars.rules import Rules
from sidefeed.sync.attribution import addresses, domain
from sidefeed.sync.capture import read_anew
from sidefeed.sync.meetings import retract
from sidefeed.workspace import Draft, RecordState, Store, Transaction
from sidefeed.workspace import tables as t

POLICY, MARKS = "calendars:policy", "calendars:marks"


def enforce_policy(store: Store, feeds: Sequence[tuple[str, str]]) -> int:
    """Take back what a changed ``[calendars]`` no longer allows, and read again what it now does; returns how many
    meetings were touched. Cheap where nothing changed. ``feeds`` are the (system, stream) of the calendars."""
    policy = store.calendars
    if _changed(store, MARKS, (sorted(policy.foreign_marks.items()), sorted(policy.accepted_tools))):
        with store.write() as tx:
            _look_again(tx, feeds)
    if _changed(store, POLICY, (policy.privacy, sorted(policy.blocked_domains), sorted(policy.internal_domains))):
        with store.write() as tx:
            return enforce(tx, feeds)
    return 0


def _changed(store: Store, name: str, said: object) -> bool:
    """Whether settings say something else than at the last run; at the first there is nothing to bring into line."""
    told = hashlib.blake2b(repr(said).encode(), digest_size=8).hexdigest()
    with store.read() as tx:
        known = tx.setting(name)
    if known != told:
        with store.write() as tx:
            tx.save_setting(name, told)
    return known not in (None, told)


def _look_again(tx: Transaction, feeds: Sequence[tuple[str, str]]) -> None:
    """Have every meeting of these calendars read and judged anew, also where it is what it was."""
    for system, stream in feeds:
        tx.connection.execute(t.link.update().where(t.link.c.system == system, t.link.c.object == stream).values(
            digest=None))
        read_anew(tx, system, stream)


def enforce(tx: Transaction, feeds: Sequence[tuple[str, str]], *, actor: str = "policy:private") -> int:
    """Take back from every published meeting what may not leave any more, and have the calendars read from the start,
    so that what may leave now does."""
    rules, touched = Rules(tx), 0
    for state in [one for one in tx.each_record("meeting") if not one.deleted and one.values.get("key")]:
        level = _level(tx, rules, state)
        blocked = any(tx.store.calendars.blocks(domain(each)) for each in addresses(state.values))
        if level is None and not blocked:
            continue
        if blocked or not publishes(level or "none"):
            retract(tx, state.id, "its level of privacy was changed", actor=actor)
            touched += 1
        elif level == "title" and (blank := _hidden(state)):
            tx.append([Draft("meeting", state.id, blank, actor, "policy", reason="only its title may leave")])
            forget.begin(tx, state.id)
            touched += 1
    for system, stream in feeds:
        read_anew(tx, system, stream)
    return touched


def _level(tx: Transaction, rules: Rules, state: RecordState) -> Level | None:
    """The level of a meeting over all its copies; None where no calendar holds it, or it was over long ago: an
    administrator's other level is no reason to clear years of history."""
    key = str(state.values["key"])
    copies = busy.copies(tx, key)
    if not copies:
        return None
    return tightest(tx.store.calendars.privacy,
                    *(tightest(copy["level"], rules.privacy(key, copy["mailbox"])) for copy in copies))


def _hidden(state: RecordState) -> dict[str, Any]:
    return {name: None for name in TITLE_HIDES if state.values.get(name) not in (None, "", [])}
