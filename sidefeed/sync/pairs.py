"""Records whose values the system does not let go together: a dependent picklist against its controlling field."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from sidefeed.connector import FieldSchema, ObjectSchema
from sidefeed.mapping import FieldMap, ObjectMap
from sidefeed.mapping import Mapping as Mappings
from sidefeed.mapping.finding import Finding
from sidefeed.mapping.lenses import SameIds
from sidefeed.workspace import Transaction

SHOWN = 5


def pair_findings(
    tx: Transaction, mapping: Mappings, schemas: Mapping[tuple[str, str], ObjectSchema]
) -> Iterator[Finding]:
    """One finding for each dependent field that is written, where records hold pairs that do not go together."""
    for om in mapping.objects:
        schema = schemas.get((om.system, om.object))
        for each in om.fields if schema is not None and not om.readonly else ():
            told = schema.fields.get(each.lens.raw[0]) if schema is not None and each.lens.raw else None
            if told is not None and told.controller and told.valid_for and each.writes:
                yield from _apart(tx, om, each, told)


def _apart(tx: Transaction, om: ObjectMap, each: FieldMap, told: FieldSchema) -> Iterator[Finding]:
    constants = {writer.field: writer.constant for writer in om.writers if writer.constant is not None}
    controlling = next((one for one in om.fields if told.controller in one.lens.raw and one.writes), None)
    if controlling is None and told.controller not in constants:
        return  # what stands there is not ours to know
    names = [each.name, *([controlling.name] if controlling is not None else [])]
    found: Counter[tuple[str, str]] = Counter()
    for state in tx.each_record(om.entity):
        if state.deleted or state.merged_into is not None or state.values.get(each.name) is None:
            continue
        raw = {**constants, **om.write(state.values, names, SameIds())[0]}
        value, held = _text(raw.get(told.name)), _text(raw.get(told.controller))
        if value in told.valid_for and held not in told.valid_for[value]:
            found[value, held] += 1
    if not found:
        return
    shown = ", ".join(f"{value} with {held or 'a blank'} ({count})"
                      for (value, held), count in found.most_common(SHOWN))
    more = f" and {len(found) - SHOWN} more pairs" if len(found) > SHOWN else ""
    does = "refuses" if told.restricted else "does not offer"
    yield Finding(
        "error" if told.restricted else "warning", "values-apart", om.system, om.object, each.name,
        *om.place(("fields", each.name)),
        f"{found.total()} records hold a {told.name!r} that {om.system} {does} beside their {told.controller!r}: "
        f"{shown}{more}.",
        "Correct these records, map the values to some that go together, or let the administrator allow the pair.")


def _text(raw: Any) -> str:
    return str(raw).lower() if isinstance(raw, bool) else "" if raw is None else str(raw)
