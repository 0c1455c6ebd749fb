"""What comes into force, as entries of the journal: settings, mappings, and what a run did under them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
import sqlalchemy as sa

from sidefeed.audit.chain import waiting
from sidefeed.mapping import ObjectMap
from sidefeed.workspace import Transaction
from sidefeed.workspace import tables as t

SETTINGS = "audit:settings"
"""The setting that holds the settings as the last run had them."""

_UNEVENTFUL = ("done", "incomplete")


def note_settings(tx: Transaction, settings: Mapping[str, Any], run: str) -> None:
    """Say which settings are others than at the last run, with before and after. Who edited the file nobody can know:
    the entry is of whoever ran under it first."""
    if not settings:
        return
    now = dict(_flat("", settings))
    told = orjson.dumps(now, option=orjson.OPT_SORT_KEYS).decode()
    known = tx.setting(SETTINGS)
    if told == known:
        return
    tx.save_setting(SETTINGS, told)
    before = orjson.loads(known) if known else {}
    tx.note("settings", run=run, first=None if known else True, changed={
        name: [before.get(name), now.get(name)] for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)})


def _flat(prefix: str, value: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name, one in value.items():
            yield from _flat(f"{prefix}.{name}" if prefix else str(name), one)
    else:
        yield prefix, value


def note_mapping(tx: Transaction, system: str, objects: Iterable[ObjectMap]) -> None:
    """Say which objects of a system are mapped otherwise from now on: from which fingerprint to which. To be called
    before the new fingerprints are kept."""
    changed = {om.object: [known, om.fingerprint] for om in objects
               if (known := tx.setting(f"mapping:{system}:{om.object}")) != om.fingerprint}
    if changed:
        first = all(before is None for before, _after in changed.values())
        tx.note("mapping", system=system, confirmed=None if first else True, fingerprints=changed)


def note_run(
    tx: Transaction, run: str, what: str, state: str, systems: Sequence[str], counts: Mapping[str, int],
    approved: Sequence[str], stopped: Sequence[str],
) -> None:
    """Say what a run did, where it changed or wrote anything, was let pass or stopped. One that found nothing to do
    leaves no entry."""
    if state in _UNEVENTFUL and not approved and not (waiting(tx) and _did_something(tx, run)):
        return
    tx.note("run", run=run, did=what, state=state, systems=list(systems), counts=dict(counts),
            approved=list(approved) or None, stopped=list(stopped) or None)


def _did_something(tx: Transaction, run: str) -> bool:
    return any(tx.connection.execute(sa.select(table.c.run).where(table.c.run == run).limit(1)).first() is not None
               for table in (t.change, t.intent, t.journal))
