"""Associations as fields of a record: which companies, contacts and deals it belongs with.

``associations.<type>`` (such as ``associations.contacts``) is the sorted list of ids; ``associations.<one>`` (such as
``associations.company``) is the primary record, else the only one, else blank. ``associations.contacts.labels`` of
deals and companies lists ``label:id`` for each label of each pair, and the id alone where there is none. Only those
named among the fields are read, one call per 1,000 records and type.

HubSpot's type ids differ per direction, and each pair of records has an unlabelled type beside its labels
("Associations v4"; ids from HubSpot's own ``association_type.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.hubspot.errors import said
from connectors.hubspot.portal import ASSOCIATION_READ, BATCH, Portal
from connectors.hubspot.wire import by_number, contexts
from sidefeed.connector import ConnectorError, Invalid, Onward, Unavailable, UnknownOutcome, Write, chunked

PREFIX = "associations."
SINGULAR = {"company": "companies", "contact": "contacts", "deal": "deals"}

UNLABELLED = {
    ("contacts", "companies"): 279, ("contacts", "deals"): 4, ("contacts", "meetings"): 199, ("contacts", "tasks"): 203,
    ("companies", "contacts"): 280, ("companies", "deals"): 342, ("companies", "meetings"): 187,
    ("companies", "tasks"): 191,
    ("deals", "contacts"): 3, ("deals", "companies"): 341, ("deals", "meetings"): 211, ("deals", "tasks"): 215,
    ("meetings", "contacts"): 200, ("meetings", "companies"): 188, ("meetings", "deals"): 212,
    ("tasks", "contacts"): 204, ("tasks", "companies"): 192, ("tasks", "deals"): 216,
    ("calls", "contacts"): 194, ("calls", "companies"): 182, ("calls", "deals"): 206,
    ("emails", "contacts"): 198, ("emails", "companies"): 186, ("emails", "deals"): 210,
    ("notes", "contacts"): 202, ("notes", "companies"): 190, ("notes", "deals"): 214,
    ("line_items", "deals"): 20,
}
PRIMARY = {("contacts", "companies"): 1, ("deals", "companies"): 5}
"""A contact and a deal have at most one primary company."""

LABELS = ".labels"
LABELLED = {("deals", "contacts"), ("companies", "contacts")}
"""Pairs whose labels are offered as roles. Labels are a portal's own, so that each costs a call to know."""

Types = frozenset[tuple[str, int]]
"""The association types of one pair of records: (category, type id)."""
Linked = Mapping[str, Types]
"""By id of the record at the other end."""
LabelsOf = Callable[[str, str], Mapping[tuple[str, int], str]]
"""The labels from one type to another, by association type; see ``Portal.labels``."""


def is_association(field: str) -> bool:
    return field.startswith(PREFIX)


def target(field: str) -> str:
    """The object type that an association field leads to."""
    name = field.removeprefix(PREFIX).removesuffix(LABELS)
    return SINGULAR.get(name, name)


def is_labelled(field: str) -> bool:
    return is_association(field) and field.endswith(LABELS)


def is_single(field: str) -> bool:
    return field.removeprefix(PREFIX) in SINGULAR


def fields_of(object: str) -> list[str]:
    """The association fields that this connector can read and write for an object."""
    reachable = [to for (source, to) in UNLABELLED if source == object]
    fields = [PREFIX + to for to in reachable] + [PREFIX + one for one, many in SINGULAR.items() if many in reachable]
    return fields + [PREFIX + to + LABELS for to in reachable if (object, to) in LABELLED]


def value(object: str, field: str, linked: Linked, labels_of: LabelsOf) -> str | list[str] | None:
    """What an association field holds."""
    if is_labelled(field):
        labels = labels_of(object, target(field))
        return sorted(member for other, types in linked.items() for member in (
            [f"{labels[each]}:{other}" for each in types if each in labels] or [other]))
    if not is_single(field):
        return sorted(linked, key=by_number)
    primary = ("HUBSPOT_DEFINED", PRIMARY.get((object, target(field)), -1))
    chosen = [each for each, types in linked.items() if primary in types]
    if len(chosen) != 1:
        chosen = list(linked)
    return chosen[0] if len(chosen) == 1 else None


def types_for(object: str, field: str) -> Types:
    """The types that a write of this field gives a pair. Setting a primary keeps the unlabelled type by itself."""
    pair = (object, target(field))
    number = (PRIMARY.get(pair) if is_single(field) else None) or UNLABELLED.get(pair)
    if number is None:
        raise Invalid(
            f"Sidefeed knows no association type from HubSpot {pair[0]} to {pair[1]}: take {field} out of the mapping",
            field=field, code="association-unknown", owner="ops",
        )
    return frozenset({("HUBSPOT_DEFINED", number)})


def ids_in(value: Any) -> list[str]:
    """The ids that an association field's raw value names, each once."""
    if value is None or value == "":
        return []
    listed = [value] if isinstance(value, str) else value
    return list(dict.fromkeys(str(each).rpartition(":")[2] for each in listed))


def given(object: str, field: str, raw: Any, labels_of: LabelsOf) -> dict[str, Types]:
    """By id, the types that a raw value of this field gives. Raises Invalid for a label that the portal has not."""
    basic = types_for(object, field)
    found = dict.fromkeys(ids_in(raw), basic)
    if is_labelled(field):
        by_label = {label: kind for kind, label in labels_of(object, target(field)).items()}
        for member in raw or ():
            label, _, other = str(member).rpartition(":")
            if label and label not in by_label:
                raise Invalid(
                    f"HubSpot has no label {label!r} from {object} to {target(field)}: run `sidefeed prepare hubspot`, "
                    f"or create it in Settings, Objects, {object.capitalize()}, Associations", field=field,
                    code="association-unknown", owner="ops",
                )
            if label:
                found[other] |= {by_label[label]}
    return found


def new_ones(object: str, values: Mapping[str, Any], labels_of: LabelsOf) -> list[dict[str, Any]]:
    """The ``associations`` member of a create's input."""
    return [
        {"to": {"id": other}, "types": _wire(types)}
        for linked in _new_pairs(object, values, labels_of).values() for other, types in linked.items()
    ]


def seen_of_new(object: str, values: Mapping[str, Any], labels_of: LabelsOf) -> dict[str, Any]:
    """What the association fields of a create hold once it is done."""
    pairs = _new_pairs(object, values, labels_of)
    return {field: value(object, field, pairs.get(target(field), {}), labels_of)
            for field in values if is_association(field)}


def _new_pairs(object: str, values: Mapping[str, Any], labels_of: LabelsOf) -> dict[str, dict[str, Types]]:
    """By type and id of the other end, the types to give."""
    pairs: dict[str, dict[str, Types]] = {}
    for field in values:
        if is_association(field):
            linked = pairs.setdefault(target(field), {})
            for other, types in given(object, field, values[field], labels_of).items():
                linked[other] = linked.get(other, frozenset()) | types
    return pairs


def read(portal: Portal, object: str, to: str, ids: Sequence[str]) -> dict[str, Linked]:
    """By record id, what it is associated with.

    HubSpot names the records without any in `errors`. An id that it says nothing about is asked for once more, and is
    then missing here, which is unknown and not empty.
    """
    found: dict[str, dict[str, Types]] = {}
    for chunk in chunked(ids, ASSOCIATION_READ):
        _read_into(found, portal, object, to, [{"id": each} for each in chunk])
        if silent := [each for each in chunk if each not in found]:
            _read_into(found, portal, object, to, [{"id": each} for each in silent], least=0)
    return dict(found)


def _read_into(
    found: dict[str, dict[str, Types]], portal: Portal, object: str, to: str, asked: list[dict[str, str]],
    least: int = 1,
) -> None:
    places = Onward(f"HubSpot's list of {to} of {object}")
    while asked:
        answer = portal.associations(object, to, asked, least)
        asked = []
        for row in answer.results:
            linked = found.setdefault(str(row.source.id), {})
            for other in row.to:
                types = frozenset((each.category, each.type_id) for each in other.association_types)
                linked[str(other.to_object_id)] = linked.get(str(other.to_object_id), frozenset()) | types
            if row.paging and row.paging.next:
                places.to(f"{row.source.id} {row.paging.next.after}")
                asked.append({"id": str(row.source.id), "after": row.paging.next.after})
        for entry in answer.errors:
            if _is_none_found(entry):
                for record in contexts(entry, "fromObjectId", "ids", "id"):
                    found.setdefault(record, {})


def _is_none_found(entry: Mapping[str, Any]) -> bool:
    return "NO_ASSOCIATIONS_FOUND" in str(entry.get("subCategory")) or entry.get("category") == "OBJECT_NOT_FOUND"


def _wire(types: Iterable[tuple[str, int]]) -> list[dict[str, Any]]:
    return [
        {"associationCategory": category, "associationTypeId": number} for category, number in sorted(types)
    ]


def check(object: str, values: Mapping[str, Any], labels_of: LabelsOf) -> None:
    """Raises Invalid for an association field that cannot be written for this object."""
    for field in values:
        if is_association(field):
            for other in given(object, field, values[field], labels_of):
                if not (other.isascii() and other.isdigit()):
                    message = f"{object}: {field} names {other!r}, which is no HubSpot id"
                    raise Invalid(message, field=field, owner="ops")


def write(
    portal: Portal, object: str, to: str, writes: Sequence[Write]
) -> dict[str, Mapping[str, Any] | ConnectorError]:
    """Give records the associations with one other type that their writes name; by key, what they hold then.

    Read first, then written as differences: what is to be there and is not, and what was decided to go and is there.
    A record whose associations HubSpot does not tell is left as it is: a pair would lose the labels it has.
    """
    ids = [str(each.external_id) for each in writes]
    there = read(portal, object, to, ids)
    plans = {each.key: _Plan.of(object, to, each, there[str(each.external_id)], portal.labels) for each in writes
             if str(each.external_id) in there}
    refused: dict[str, ConnectorError] = {each.key: Unavailable(
        f"HubSpot's answer says nothing of {object} {each.external_id} with {to}; nothing was associated")
        for each in writes if each.key not in plans}
    added = [(plan, other) for plan in plans.values() for other in plan.add]
    for chunk in chunked(added, BATCH):
        inputs = [
            {"from": {"id": plan.record}, "to": {"id": other}, "types": _wire(plan.add[other])} for plan, other in chunk
        ]
        answer = portal.associate(object, to, inputs)
        written = {(str(pair.from_object_id), str(pair.to_object_id)) for pair in answer.results}
        for plan, other in chunk:
            if (plan.record, other) not in written:
                refused[plan.key] = _not_associated(object, to, plan, other, answer.errors)
    unlabelled = [(plan, other) for plan in plans.values() if plan.key not in refused for other in plan.unlabel]
    for chunk in chunked(unlabelled, BATCH):
        failures = portal.unlabel(object, to, [{"from": {"id": plan.record}, "to": {"id": other},
                                                "types": _wire(plan.unlabel[other])} for plan, other in chunk])
        refused |= _not_removed(object, to, [plan for plan, _other in chunk], failures)
    removed = [plan for plan in plans.values() if plan.remove and plan.key not in refused]
    for chunk in chunked(removed, BATCH):
        failures = portal.dissociate(
            object, to, [{"from": {"id": p.record}, "to": [{"id": each} for each in p.remove]} for p in chunk]
        )
        refused |= _not_removed(object, to, chunk, failures)
    return {key: plan.seen for key, plan in plans.items()} | refused


@dataclass(frozen=True, slots=True)
class _Plan:
    """What one write changes in one record's associations with one type."""

    key: str
    record: str
    add: Mapping[str, Types]
    unlabel: Mapping[str, Types]
    remove: Sequence[str]
    seen: Mapping[str, Any]

    @classmethod
    def of(cls, object: str, to: str, write: Write, there: Linked, labels_of: LabelsOf) -> _Plan:
        fields = [field for field in write.values if is_association(field) and target(field) == to]
        now = dict(there)
        add: dict[str, Types] = {}
        unlabel: dict[str, Types] = {}
        gone: set[str] = set()
        for field in fields:
            chosen = given(object, field, write.values[field], labels_of)
            leaving = _leaving(object, field, write, now, labels_of)
            for other, types in chosen.items():
                if off := (leaving.get(other, frozenset()) - types) & now.get(other, frozenset()):
                    unlabel[other] = off
                if not types <= now.get(other, frozenset()):
                    # A pair's labels are replaced by what is written, so its own ones are written again.
                    add[other] = (add.get(other, now.get(other, frozenset())) | types) - off
            gone |= leaving.keys() - chosen.keys()
        for field in fields:
            gone -= set(ids_in(write.values[field]))
        primary = {("HUBSPOT_DEFINED", PRIMARY.get((object, to), -1))}
        if any(primary <= types for types in add.values()):
            # HubSpot takes the label off the former primary by itself.
            now = {other: types - primary for other, types in now.items()}
        after = {other: types - unlabel.get(other, frozenset())
                 for other, types in (now | add).items() if other not in gone}
        seen = {field: value(object, field, after, labels_of) for field in fields}
        return cls(write.key, str(write.external_id), add, unlabel, sorted(gone & now.keys(), key=by_number), seen)


def _leaving(object: str, field: str, write: Write, now: Linked, labels_of: LabelsOf) -> dict[str, Types]:
    """What a write of this field may take away: what it was decided on, else what the field holds now."""
    held = write.expected[field] if field in write.expected else value(object, field, now, labels_of)
    if not is_labelled(field):
        return dict.fromkeys(ids_in(held), frozenset())
    known = set(labels_of(object, target(field)).values())
    return given(object, field, [each for each in held or () if str(each).rpartition(":")[0] in {"", *known}],
                  labels_of)


def _not_removed(
    object: str, to: str, plans: Iterable[_Plan], failures: Sequence[Mapping[str, Any]]
) -> dict[str, ConnectorError]:
    """By key, the records of which HubSpot does not say that all was removed; a failure may name none of them."""
    found: dict[str, ConnectorError] = {}
    for entry in failures:
        named = set(contexts(entry, "fromObjectId", "toObjectId", "id", "ids"))
        found |= {plan.key: UnknownOutcome(
            f"HubSpot could not say what became of {object} {plan.record} with {to}: {said(entry)}")
            for plan in plans if not named or named & {plan.record, *plan.remove, *plan.unlabel}}
    return found


def _not_associated(
    object: str, to: str, plan: _Plan, other: str, errors: Sequence[Mapping[str, Any]]
) -> ConnectorError:
    what = f"HubSpot {object} {plan.record} with {to} {other}"
    field = next((name for name in plan.seen if target(name) == to), None)
    for entry in errors:
        named = contexts(entry, "fromObjectId", "toObjectId", "id", "ids")
        if not named or other in named or plan.record in named:
            rule = str(entry.get("subCategory") or entry.get("category"))
            return Invalid(f"HubSpot refuses to associate {what}: {said(entry)}", field=field, rule=rule)
    return UnknownOutcome(f"HubSpot's answer says nothing of associating {what}")
