"""One look at the live systems on behalf of a mapping: what is wrong, what changed, who is missing."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, replace
from typing import Any

import orjson

from sidefeed.connector import Connector, NamesRights, ObjectSchema, Rights
from sidefeed.mapping import Mapping
from sidefeed.mapping.check import check, in_order
from sidefeed.mapping.drift import Drift, said
from sidefeed.mapping.finding import Finding
from sidefeed.mapping.rights import Need
from sidefeed.sync import schemas
from sidefeed.sync.coverage import owner_findings
from sidefeed.sync.pairs import pair_findings
from sidefeed.workspace import Store, Transaction
from sidefeed.workspace.clock import utc_text

LAST_CHECK = "last check"


@dataclass(frozen=True, slots=True)
class Looked:
    """Findings in the order of the files, those of drift among them, and the drift itself with its edits."""

    findings: list[Finding]
    drift: list[Drift]


def look(
    mappings: Mapping, systems: Collection[str], connector: Callable[[str], Connector], store: Store | None, *,
    accept: bool = False,
) -> Looked:
    """Everything that these systems and the workspace have to say about the mapping. With a ``store`` each live schema
    is compared with the copy kept of it; with ``accept`` it is taken as known from now on."""
    linked = replace(mappings, objects=tuple(om for om in mappings.objects if om.system in systems))
    seen: dict[tuple[str, str], ObjectSchema] = {}

    def describe(system: str, object: str) -> ObjectSchema:
        seen[system, object] = told = connector(system).describe(object)
        return told

    found = check(linked, describe, lambda need: rights_of(connector(need.system), need))
    drifted: list[Drift] = []
    if store is not None:
        with store.write() as tx:
            drifted = schemas.look(tx, linked, seen, accept=accept)
            found += owner_findings(tx, linked)
            found += pair_findings(tx, linked, seen)
    looked = Looked(in_order([*_not_said_twice(found, drifted), *map(said, drifted)]), drifted)
    if store is not None:
        with store.write() as tx:
            tx.save_setting(LAST_CHECK, orjson.dumps({
                "at": utc_text(store.now()), "fingerprint": mappings.fingerprint,
                "findings": [asdict(one) for one in looked.findings]}).decode())
    return looked


_SAYS_MORE = {"drift-field-gone": "field-missing", "drift-field-renamed": "field-missing",
              "drift-not-writable": "not-writable"}
"""Drift that tells when and how what another finding tells came about."""


def _not_said_twice(found: list[Finding], drifted: list[Drift]) -> list[Finding]:
    told = {(_SAYS_MORE.get(one.finding.code), one.finding.file, one.finding.line, one.finding.column)
            for one in drifted}
    return [one for one in found if (one.code, one.file, one.line, one.column) not in told]


def last_check(tx: Transaction) -> dict[str, Any] | None:
    """What the last look found: ``at``, the ``fingerprint`` of the mapping, and ``findings``; None where there was
    none yet."""
    told = tx.setting(LAST_CHECK)
    found: dict[str, Any] | None = orjson.loads(told) if told else None
    return found


def rights_of(connector: Connector, need: Need) -> Rights | None:
    """What the system says of the rights that an object needs; None where it cannot name them."""
    if not isinstance(connector, NamesRights):
        return None
    return connector.rights(need.object, reads=need.reads, writes=need.writes, creates=need.creates,
                            deletes=need.deletes)
