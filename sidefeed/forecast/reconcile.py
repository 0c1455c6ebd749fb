"""The bridge over a workspace: every system beside the reconciled total, with who said what, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import pandas as pd

from sidefeed.forecast.bridge import BRIDGE_DEALS, Bridge, bridge
from sidefeed.forecast.frames import frame, plain
from sidefeed.forecast.history import deals, replayed, revision_at
from sidefeed.forecast.scope import Scope, ScopeError
from sidefeed.forecast.systems import FIELDS, deal_systems, system_deals
from sidefeed.forecast.systems_then import system_deals_then
from sidefeed.mapping import Mapping as Mappings
from sidefeed.workspace import Store, Transaction
from sidefeed.workspace.clock import utc_instant


def reconcile(
    store: Store, mappings: Mappings, scope: Scope, systems: list[str] | None = None, moment: datetime | None = None
) -> dict[str, Bridge]:
    """System -> its bridge, as of a moment (None: now).

    A past bridge is made of the log alone, and is the same whenever it is asked for. Raises ScopeError naming the
    systems that hold deals when asked for another.
    """
    with store.read() as tx:
        return reconcile_in(tx, mappings, scope, systems, moment)


def reconcile_in(
    tx: Transaction, mappings: Mappings, scope: Scope, systems: list[str] | None = None,
    moment: datetime | None = None,
) -> dict[str, Bridge]:
    """As `reconcile`, inside a transaction."""
    known = deal_systems(mappings)
    unknown = sorted(set(systems or ()) - set(known))
    if unknown:
        raise ScopeError(f"{', '.join(unknown)} holds no deals; choose from {', '.join(known) or 'none: map some'}.")
    here = deals(tx, moment)
    return {system: with_origin(tx, bridge(said(tx, mappings, system, moment), here, scope, system=system), moment)
            for system in systems or known}


def said(tx: Transaction, mappings: Mappings, system: str, moment: datetime | None = None) -> pd.DataFrame:
    """A system's deals as of a moment (None: now), with the columns of `systems.SYSTEM_DEALS`."""
    if moment is None:
        return system_deals(tx, mappings, system)
    return system_deals_then(tx, mappings, system, moment)


def with_origin(tx: Transaction, found: Bridge, moment: datetime | None = None) -> Bridge:
    """The same bridge, with source, actor, time and age of the value here for each deal that it lists."""
    now = moment or tx.store.now()
    rows = [dict(zip(found.deals.columns, row, strict=True))
            for row in zip(*(plain(found.deals[name]) for name in found.deals.columns), strict=True)]
    origins = origin(tx, {(row["record"], FIELDS.get(row["field"] or "", "money")) for row in rows if row["record"]},
                     moment)
    for row in rows:
        one = origins.get((row["record"], FIELDS.get(row["field"] or "", "money")))
        if one is not None and row["step"] != "only there":
            row |= one
            row["age_days"] = max(0, (now - utc_instant(one["at"])).days)
    return replace(found, deals=frame(rows, BRIDGE_DEALS))


def origin(
    tx: Transaction, wanted: set[tuple[str, str]], moment: datetime | None = None
) -> Mapping[tuple[str, str], dict[str, Any]]:
    """(record, field) -> source, actor and time of the value that stood there at a moment (None: now)."""
    ids = sorted({record for record, _field in wanted})
    if moment is None:
        states = tx.records(ids)
    else:
        upto = revision_at(tx, moment)
        states = {id: replayed(tx.changes_of(id, upto=upto), id, "opportunity") for id in ids}
    heads = {key: state.heads_of(key[1])[-1] for key in wanted
             if (state := states.get(key[0])) is not None and state.heads_of(key[1])}
    details = tx.head_details(set(heads.values()))
    return {key: {"source": details[rev].source, "actor": details[rev].actor, "at": details[rev].at}
            for key, rev in heads.items() if rev in details}


def listed(found: Bridge, step: str) -> pd.DataFrame:
    """The deals of one step."""
    return found.deals[found.deals["step"] == step].reset_index(drop=True)
