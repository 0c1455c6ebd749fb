"""Creating, changing and deleting records: the rules every object shares.

What single objects do beyond that (stages, invitations, primary roles, line items) is in `behaviour`.
Sources: REST API guide "sObject Rows", SOAP API guide "create", "update", "delete", "merge", Object Reference, and
error texts recorded by public projects. Not verified against an organisation, hence switchable in `Settings`:
trimming of text, the codes for fields hidden by field-level security, rounding to scale.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from . import behaviour
from .errors import Failure, NotImplementedHere, invalid_field, no_external_id, not_found
from .ids import to18
from .missing import refuse_object
from .schema import COMPOUND_TYPES, MASTER_RECORD_TYPE, Field, Schema, SObject
from .store import Row, Store
from .values import coerce, stamp, undecodable
from .views import Views

AUDIT = ("CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById", "SystemModstamp")
MERGEABLE = ("Lead", "Contact", "Account", "Case")


@dataclass(frozen=True, slots=True)
class Actor:
    """Who writes, and under which request options."""

    user: str
    version: float = 59.0
    allow_duplicates: bool = False
    single_row: bool = False
    """Written through the sObject Rows resource, which refuses an Id in the body."""


@dataclass
class ValidationRule:
    """Refuses a save when `formula` (the text of a SOQL condition) is true of the record."""

    object: str
    formula: str
    message: str
    field: str | None = None
    matches: Callable[[Row], bool] = lambda row: False


@dataclass
class DuplicateRule:
    """Compares new and changed records with existing ones on fields; all must agree."""

    object: str
    fields: tuple[str, ...]
    allow_save: bool = True
    name: str = "Standard_Rule"


@dataclass
class Automation:
    """Server-side automation that rewrites fields after each save of an object: the cause of echo loops.

    With `system`, only SystemModstamp moves, as when a roll-up or a background job saves.
    """

    object: str
    values: dict[str, Any]
    system: bool = False
    user: str | None = None


@dataclass
class RowLock:
    """Refuses the next `count` writes that match."""

    count: int
    object: str | None = None
    id: str | None = None


@dataclass
class Settings:
    """Behaviours that are documented differently in different places, or not at all: each can be switched."""

    upsert_update_status: int | None = None
    """200 or 204 for an upsert that updates; None: 200 from API 46.0, 204 before."""
    trim_text: bool = True
    """Leading and trailing space is cut off texts."""
    empty_string_is_null: bool = True
    """An empty text is stored as null."""
    hidden_field_code: str = "INVALID_FIELD"
    """Code of a write to a field that field-level security hides."""
    line_items_lock_amount: bool = True
    """An opportunity's Amount is ignored on update while it has line items."""
    mixed_and_or: bool = False
    """SOQL accepts AND beside OR without parentheses (AND binds closer)."""
    locator_days: float = 2
    """Days without use after which a query locator ends."""
    duplicate_header: str = "Sforce-Duplicate-Rule-Header"
    """The REST header whose `allowSave=true` overrides a duplicate rule that permits it."""
    browser_approves: bool = True
    """The user at the authorization endpoint of OAuth approves; off: refuses."""
    default_record_types: dict[str, str] = field(default_factory=dict)
    """Record type of new records, by object."""


@dataclass
class Rules:
    """Bad-day switches that touch saves. Copied with every snapshot."""

    validation: list[ValidationRule] = field(default_factory=list)
    duplicates: list[DuplicateRule] = field(default_factory=list)
    automations: list[Automation] = field(default_factory=list)
    locks: list[RowLock] = field(default_factory=list)
    hidden: dict[str, frozenset[str]] = field(default_factory=dict)
    read_only: dict[str, frozenset[str]] = field(default_factory=dict)
    no_access: frozenset[str] = frozenset()
    late: list[tuple[float, str | None]] = field(default_factory=list)

    def copy(self) -> Rules:
        """An independent copy."""
        return replace(
            self,
            validation=list(self.validation),
            duplicates=list(self.duplicates),
            automations=list(self.automations),
            locks=[replace(lock) for lock in self.locks],
            hidden=dict(self.hidden),
            read_only=dict(self.read_only),
            late=list(self.late),
        )


class Records:
    """The one door to the store for every protocol: rows, collections, composite, bulk, SOAP and the Python API."""

    def __init__(self, store: Store, schema: Schema, now: Callable[[], datetime]) -> None:
        self.store = store
        self.schema = schema
        self.settings = Settings()
        self.rules = Rules()
        self.views = Views()
        self._clock = now
        self._stamp_override: str | None = None
        self.locked: set[str] = set()

    def __call__(self, name: str) -> list[Row]:
        """Copies of the live rows of an object: `server.records("Account")`, for tests."""
        return [dict(row) for row in self.store.rows(self.sobject(name).name)]

    def mark_seen(self, sobject: SObject, rows: list[Row], how: str, user: str) -> None:
        """Note that a user viewed or referenced rows."""
        self.views.mark(self.store, sobject.name, rows, how, user, self._clock())

    # what exists and who may see it

    def sobject(self, name: str) -> SObject:
        """An object that this user may use. Raises Failure 404, or 501 for one that only Salesforce has."""
        found = self.schema.object(name)
        if found is None:
            refuse_object(name)
        if found is None or found.name in self.rules.no_access:
            raise not_found()
        return found

    def hidden(self, name: str) -> frozenset[str]:
        """Fields of an object that field-level security hides."""
        return self.rules.hidden.get(name, frozenset())

    def row(self, sobject: SObject, key: str) -> Row:
        """A live row by id in either form. Raises Failure 404, with the text for a malformed, absent or deleted id."""
        full = to18(key)
        if full is None or full[:3] != sobject.prefix:
            raise no_external_id(key)
        found = self.store.get(sobject.name, full)
        if found is None:
            raise not_found()
        if found.get("IsDeleted"):
            raise Failure(404, "ENTITY_IS_DELETED", "entity is deleted", [])
        return found

    def by_external_id(self, sobject: SObject, field_name: str, value: str) -> list[Row]:
        """Live rows with a value in an external-id or idLookup field. Raises Failure 404 for any other field."""
        found = self._key_field(sobject, field_name)
        if found.type == "id":
            return [self.row(sobject, value)]
        key = coerce(found, value)
        return [] if key is None else self.store.find(sobject.name, found.name, key)

    def _key_field(self, sobject: SObject, name: str) -> Field:
        found = sobject.field(name)
        if found is None or found.name in self.hidden(sobject.name) or not (found.id_lookup or found.external_id):
            raise no_external_id(name)
        return found

    # saving

    def now(self) -> str:
        """The stamp of a statement made now."""
        return self._stamp_override or stamp(self._clock())

    def create(self, name: str, data: Mapping[str, Any], actor: Actor) -> str:
        """Insert a record; returns its id. Raises Failure; nothing is stored then."""
        sobject = self.sobject(name)
        if not sobject.can("createable"):
            raise Failure(
                400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", f"entity type {sobject.name} does not support create", []
            )
        given = self._given(sobject, data, actor, creating=True)
        at = self._statement_time(sobject.name)
        row: Row = {f.name: None for f in sobject.fields.values() if f.type not in COMPOUND_TYPES and f.formula is None}
        self._defaults(sobject, row, actor)
        row.update(given)
        behaviour.prepare(sobject, row)
        for f in sobject.fields.values():
            if row.get(f.name) is None and f.type == "boolean":
                row[f.name] = str(f.default).lower() == "true" if f.default is not None else False
        missing = [f.name for f in sobject.fields.values() if f.required and row.get(f.name) is None]
        if missing:
            raise _missing(missing)
        row["Id"] = self.store.next_id(sobject)
        row |= {k: v for k, v in {"CreatedDate": at, "CreatedById": actor.user}.items() if k in sobject.fields}
        with self.store.savepoint():
            self._save(sobject, row, None, given, actor, at)
        return str(row["Id"])

    def update(self, name: str, key: str, data: Mapping[str, Any], actor: Actor) -> str:
        """Change a record; returns its id. Raises Failure; nothing is changed then."""
        sobject = self.sobject(name)
        if not sobject.can("updateable"):
            raise Failure(
                400, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", f"entity type {sobject.name} does not support update", []
            )
        old = self._row_to_write(sobject, key)
        given = self._given(sobject, data, actor, creating=False)
        nulled = [n for n, v in given.items() if v is None and self._not_nullable(sobject.fields[n])]
        if nulled:
            raise _missing(nulled)
        at = self._statement_time(sobject.name)
        row = {**old, **given}
        with self.store.savepoint():
            self._save(sobject, row, old, given, actor, at)
        return str(row["Id"])

    @staticmethod
    def _not_nullable(f: Field) -> bool:
        return not f.nillable and f.type != "boolean" and f.name != "OwnerId" and not f.defaulted_on_create

    def _row_to_write(self, sobject: SObject, key: Any) -> Row:
        full = to18(key) if isinstance(key, str) else None
        if full is None or full[:3] != sobject.prefix:
            raise Failure(
                400, "MALFORMED_ID", f"{sobject.fields['Id'].label}: id value of incorrect type: {key}", ["Id"]
            )
        old = self.store.get(sobject.name, full)
        if old is None:
            raise Failure(404, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", [])
        if old.get("IsDeleted"):
            raise Failure(404, "ENTITY_IS_DELETED", "entity is deleted", [])
        return old

    def upsert(
        self,
        name: str,
        field_name: str,
        value: Any,
        data: Mapping[str, Any],
        actor: Actor,
        *,
        update_only: bool = False,
    ) -> tuple[str, bool]:
        """Update the record with a value in a key field, or create it; returns (id, created).

        Raises Failure, with status 300 and the candidates in `extra["matches"]` when several records have the value.
        """
        sobject = self.sobject(name)
        key_field = self._key_field(sobject, field_name)
        if key_field.type == "id":
            if value in (None, ""):
                return self.create(name, data, actor), True
            return self.update(name, value, data, actor), False
        key = coerce(key_field, value)
        if key is None:
            raise Failure(400, "MISSING_ARGUMENT", f"{key_field.name} not specified", [])
        found = self.store.find(sobject.name, key_field.name, key)
        if len(found) > 1:
            raise Failure(
                300,
                "DUPLICATE_EXTERNAL_ID",
                f"{key_field.name}: more than one record found for external id field: "
                f"[{', '.join(r['Id'] for r in found)}]",
                [key_field.name],
                {"matches": found},
            )
        rest = {k: v for k, v in data.items() if k.lower() != key_field.name.lower()}
        if found:
            return self.update(name, found[0]["Id"], rest, actor), False
        if update_only:
            raise not_found()
        return self.create(name, {**rest, key_field.name: value}, actor), True

    # the steps of a save

    def _given(self, sobject: SObject, data: Mapping[str, Any], actor: Actor, *, creating: bool) -> dict[str, Any]:
        resolved: dict[str, tuple[Field, Any]] = {}
        refused: list[str] = []
        hidden, read_only = self.hidden(sobject.name), self.rules.read_only.get(sobject.name, frozenset())
        for name, value in data.items():
            if name.lower() == "attributes":
                continue
            found = sobject.field(name)
            if found is not None and found.type == "id":
                if actor.single_row:
                    raise Failure(400, "INVALID_FIELD", "The Id field should not be specified in the sobject data.")
                if creating and value is not None:
                    raise Failure(400, "INVALID_FIELD_FOR_INSERT_UPDATE", "cannot specify Id in an insert call", ["Id"])
                continue
            if found is None or found.name in hidden:
                lookup = sobject.parent(name)
                if lookup is None or lookup.name in hidden or not isinstance(value, Mapping):
                    raise self._unknown(name, sobject, hidden=found is not None)
                found, value = lookup, self._foreign_key(sobject, lookup, value)
            allowed = found.createable if creating else found.updateable
            if not allowed or found.name in read_only:
                refused.append(found.name)
            resolved[found.name] = (found, value)
        if refused:
            raise Failure(
                400,
                "INVALID_FIELD_FOR_INSERT_UPDATE",
                f"Unable to create/update fields: {', '.join(refused)}. Please check the security settings of this "
                "field and verify that it is read/write for your profile or permission set.",
                refused,
            )
        return {name: self._value(sobject, f, value) for name, (f, value) in resolved.items()}

    def _unknown(self, name: str, sobject: SObject, *, hidden: bool) -> Failure:
        failure = invalid_field(name, sobject.name)
        if hidden:
            failure.code = self.settings.hidden_field_code
        return failure

    def _foreign_key(self, sobject: SObject, lookup: Field, value: Mapping[str, Any]) -> str:
        target_name = lookup.reference_to[0]
        attributes = value.get("attributes")
        if isinstance(attributes, Mapping) and attributes.get("type") in lookup.reference_to:
            target_name = str(attributes["type"])
        target = self.schema.object(target_name)
        keys = [(k, v) for k, v in value.items() if k != "attributes"]
        if target is None or len(keys) != 1:
            raise Failure(
                400, "INVALID_FIELD", f"Relationship {lookup.relationship} needs exactly one external id field", []
            )
        key_field = target.field(keys[0][0])
        if key_field is None or not (key_field.id_lookup or key_field.external_id):
            raise Failure(
                400,
                "INVALID_FIELD",
                f"Field name provided, {keys[0][0]} is not an External ID or indexed field for {target.name}",
            )
        if isinstance(keys[0][1], (dict, list)):
            raise undecodable("string", keys[0][1])
        if key_field.type == "id":
            return str(keys[0][1])
        found = self.store.find(target.name, key_field.name, coerce(key_field, keys[0][1]))
        if not found:
            raise Failure(
                400,
                "INVALID_FIELD",
                f"Foreign key external ID: {keys[0][1]} not found for field {key_field.name} in entity {target.name}",
            )
        if len(found) > 1:
            raise Failure(
                400,
                "DUPLICATE_EXTERNAL_ID",
                f"{key_field.name}: more than one record found for external id field: "
                f"[{', '.join(r['Id'] for r in found)}]",
                [],
            )
        return str(found[0]["Id"])

    def _value(self, sobject: SObject, f: Field, value: Any) -> Any:
        if f.type == "reference":
            return self._reference(sobject, f, value)
        return coerce(f, value, trim=self.settings.trim_text, empty_is_null=self.settings.empty_string_is_null)

    def _reference(self, sobject: SObject, f: Field, value: Any) -> str | None:
        if value is None or value == "":
            return None
        full = to18(value.strip()) if isinstance(value, str) else None
        if full is None:
            raise Failure(400, "MALFORMED_ID", f"{f.label}: id value of incorrect type: {value}", [f.name])
        if f.name == "RecordTypeId":
            return self._record_type(sobject, f, full)
        target = self.schema.of_prefix(full[:3])
        if target is None and not any(self.schema.object(name) for name in f.reference_to):
            raise NotImplementedHere(f"the objects that {sobject.name}.{f.name} refers to")
        if target is None or target.name not in f.reference_to:
            raise Failure(
                400,
                "FIELD_INTEGRITY_EXCEPTION" if target else "MALFORMED_ID",
                f"{f.label}: id value of incorrect type: {full}",
                [f.name],
            )
        row = self.store.get(target.name, full)
        if row is None:
            raise Failure(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", [])
        if row.get("IsDeleted"):
            raise Failure(400, "ENTITY_IS_DELETED", "entity is deleted", [])
        if f.name == "OwnerId" and target.name == "User" and not row.get("IsActive"):
            raise Failure(
                400,
                "INACTIVE_OWNER_OR_USER",
                f"operation performed with inactive user [{full}] as owner of {sobject.name.lower()}",
                [],
            )
        return full

    def _record_type(self, sobject: SObject, f: Field, full: str) -> str | None:
        if full == MASTER_RECORD_TYPE:
            return None
        row = self.store.get("RecordType", full)
        if row is None or row["SobjectType"] != sobject.name or not row["IsActive"]:
            raise Failure(
                400,
                "INVALID_CROSS_REFERENCE_KEY",
                f"{f.label}: this ID value isn't valid for the user: {full}",
                [f.name],
            )
        return full

    def _defaults(self, sobject: SObject, row: Row, actor: Actor) -> None:
        for f in sobject.fields.values():
            if f.default is not None and f.createable and f.type != "boolean":
                row[f.name] = coerce(f, f.default)
            if f.auto_number is not None:
                number = self.store.next_number(f"{sobject.name}.{f.name}", 1 if f.custom or sobject.custom else 1000)
                row[f.name] = _auto_number(f.auto_number, number)
        if "OwnerId" in sobject.fields:
            row["OwnerId"] = actor.user
        if "RecordTypeId" in sobject.fields:
            row["RecordTypeId"] = self.settings.default_record_types.get(sobject.name)

    def _statement_time(self, name: str) -> str:
        if self._stamp_override is None:
            for index, (seconds, wanted) in enumerate(self.rules.late):
                if wanted in (None, name):
                    del self.rules.late[index]
                    return stamp(self._clock() - timedelta(seconds=seconds))
        return self.now()

    def _save(self, sobject: SObject, row: Row, old: Row | None, given: dict[str, Any], actor: Actor, at: str) -> None:
        if row.get("OwnerId", "") is None and "OwnerId" in sobject.fields:
            row["OwnerId"] = (old or {}).get("OwnerId") or actor.user
        for f in sobject.fields.values():
            if f.type == "boolean" and row.get(f.name) is None:
                row[f.name] = False
        self._check_lock(sobject, row, old)
        behaviour.before_save(self, sobject, row, old, given, actor)
        for name, value in (("LastModifiedDate", at), ("LastModifiedById", actor.user), ("SystemModstamp", at)):
            if name in sobject.fields:
                row[name] = value
        self._check_unique(sobject, row)
        self._check_dependent(sobject, row, given)
        self._check_validation(sobject, row)
        self._check_duplicates(sobject, row, old, actor)
        self.store.put(sobject.name, row)
        behaviour.after_save(self, sobject, row, old, given, actor)
        self._automate(sobject, str(row["Id"]))

    def _check_lock(self, sobject: SObject, row: Row, old: Row | None) -> None:
        key = row["Id"]
        held = old is not None and key in self.locked
        for lock in self.rules.locks:
            if lock.object in (None, sobject.name) and lock.id in (None, key):
                lock.count -= 1
                self.rules.locks = [one for one in self.rules.locks if one.count > 0]
                held = True
                break
        if held:
            shown = key if old is not None else "null"
            raise Failure(
                400, "UNABLE_TO_LOCK_ROW", f"unable to obtain exclusive access to this record or 1 records: {shown}", []
            )

    def _check_unique(self, sobject: SObject, row: Row) -> None:
        for f in sobject.fields.values():
            if not f.unique or row.get(f.name) is None:
                continue
            for other in self.store.find(sobject.name, f.name, row[f.name]):
                if other["Id"] != row["Id"]:
                    raise Failure(
                        400,
                        "DUPLICATE_VALUE",
                        f"duplicate value found: {f.name} duplicates value on record with id: {other['Id'][:15]}",
                        [],
                    )

    def _check_dependent(self, sobject: SObject, row: Row, given: Mapping[str, Any]) -> None:
        """A restricted dependent picklist takes only what goes with its controller's value; an unrestricted one is not
        held to it by the API."""
        for f in sobject.fields.values():
            if f.controller is None or not f.restricted_picklist or not {f.name, f.controller} & given.keys():
                continue
            value, controlling = row.get(f.name), row.get(f.controller)
            shown = str(controlling).lower() if isinstance(controlling, bool) else controlling
            found = next((each for each in f.values if each.value == value), None)
            if found is not None and shown not in found.valid_for:
                raise Failure(
                    400,
                    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
                    f"{f.label}: bad value for restricted picklist field: {value}",
                    [f.name],
                )

    def _check_validation(self, sobject: SObject, row: Row) -> None:
        for rule in self.rules.validation:
            if rule.object == sobject.name and rule.matches(row):
                raise Failure(
                    400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", rule.message, [rule.field] if rule.field else []
                )

    def _check_duplicates(self, sobject: SObject, row: Row, old: Row | None, actor: Actor) -> None:
        for rule in self.rules.duplicates:
            if rule.object != sobject.name or (rule.allow_save and actor.allow_duplicates):
                continue
            wanted = {name: row.get(name) for name in rule.fields}
            if None in wanted.values() or (old is not None and all(old.get(n) == v for n, v in wanted.items())):
                continue
            first, *others = rule.fields
            found = [
                r
                for r in self.store.find(sobject.name, first, row[first])
                if r["Id"] != row["Id"] and all(_same(r.get(n), row[n]) for n in others)
            ]
            if found:
                raise _duplicates(rule, found, actor.version)

    def _automate(self, sobject: SObject, key: str) -> None:
        for one in self.rules.automations:
            if one.object != sobject.name:
                continue
            row = dict(self.store.table(sobject.name).rows[key])
            for name, value in one.values.items():
                found = sobject.field(name)
                if found is None:
                    continue
                if isinstance(value, str) and value.startswith("=") and value[1:] in row:
                    value = row[value[1:]]
                row[found.name] = coerce(found, value) if found.type != "reference" else value
            row["SystemModstamp"] = self.now()
            if not one.system:
                row["LastModifiedDate"] = row["SystemModstamp"]
                if one.user:
                    row["LastModifiedById"] = one.user
            self.store.put(sobject.name, row)

    def touch(self, sobject: str, key: str, **values: Any) -> None:
        """Change fields as the system does, past all rules: only SystemModstamp moves."""
        row = {**self.store.table(sobject).rows[key], **values}
        if "SystemModstamp" in row:
            row["SystemModstamp"] = self.now()
        self.store.put(sobject, row)

    # deleting

    def delete(self, name: str, key: str, actor: Actor) -> None:
        """Move a record and what depends on it to the recycle bin. Raises Failure."""
        sobject = self.sobject(name)
        if not sobject.can("deletable"):
            raise Failure(
                400, "INSUFFICIENT_ACCESS_OR_READONLY", f"entity type {sobject.name} does not support delete", []
            )
        row = self._row_to_write(sobject, key)
        self._check_lock(sobject, row, row)
        with self.store.savepoint():
            self._delete(sobject, row, actor, self._statement_time(sobject.name), root=row["Id"])

    def _delete(self, sobject: SObject, row: Row, actor: Actor, at: str, root: str) -> None:
        self._check_restricted(sobject, row)
        for kid in self.schema.children(sobject.name).values():
            child = self.schema.object(kid.child)
            assert child is not None
            for dependent in self.store.find(kid.child, kid.field, row["Id"]):
                if behaviour.goes_with(row, kid, dependent):
                    self._delete(child, dependent, actor, at, root)
                elif child.fields[kid.field].nillable:
                    cleared = (*dependent.get("_cleared", ()), (kid.field, row["Id"]))
                    self.store.put(kid.child, {**dependent, kid.field: None, "_cleared": cleared})
        current = self.store.get(sobject.name, row["Id"])
        if current is None or current.get("IsDeleted"):
            return
        if "IsDeleted" in sobject.fields:
            self.store.put(
                sobject.name,
                {
                    **current,
                    "IsDeleted": True,
                    "LastModifiedDate": at,
                    "LastModifiedById": actor.user,
                    "SystemModstamp": at,
                    "_deleted_with": root,
                },
            )
        else:
            self.store.remove(sobject.name, row["Id"])
        self.store.log_deletion(sobject.name, row["Id"], at)
        behaviour.after_delete(self, sobject, row, actor)

    def _check_restricted(self, sobject: SObject, row: Row) -> None:
        for kid in self.schema.children(sobject.name).values():
            if not kid.restricted or kid.cascade:
                continue
            found = self.store.find(kid.child, kid.field, row["Id"])
            if found:
                child = self.schema.object(kid.child)
                assert child is not None
                label = child.name_field.name if child.name_field else "Id"
                own = sobject.name_field.name if sobject.name_field else "Id"
                shown = ", ".join(str(r.get(label) or r["Id"]) for r in found[:5])
                raise Failure(
                    400,
                    "DELETE_FAILED",
                    f"Your attempt to delete {row.get(own)} could not be completed because it "
                    f"is associated with the following {child.plural.lower()}.: {shown}\n",
                    [],
                )

    def undelete(self, key: str, actor: Actor) -> str:
        """Take a record and what was deleted with it out of the recycle bin. Raises Failure."""
        full = to18(key) or ""
        sobject = self.schema.of_prefix(full[:3])
        row = self.store.get(sobject.name, full) if sobject else None
        if sobject is None or row is None or not row.get("IsDeleted"):
            raise Failure(400, "UNDELETE_FAILED", "Entity is not in the recycle bin", [])
        if not sobject.can("undeletable") or row.get("MasterRecordId"):
            raise Failure(400, "UNDELETE_FAILED", f"entity type {sobject.name} does not support undelete", [])
        at = self.now()
        back: set[str] = set()
        with self.store.savepoint():
            for one in self.schema:
                if "IsDeleted" not in one.fields:
                    continue
                table = self.store.table(one.name)
                for dependent in [table.rows[key] for key in table.matching("_deleted_with", full)]:
                    if dependent.get("IsDeleted"):
                        restored = {
                            **dependent,
                            "IsDeleted": False,
                            "LastModifiedDate": at,
                            "LastModifiedById": actor.user,
                            "SystemModstamp": at,
                        }
                        del restored["_deleted_with"]
                        self._check_unique(one, restored)
                        self.store.put(one.name, restored)
                        back.add(restored["Id"])
            self._relink(full)
            self.store.unlog_deletions(back)
        return full

    def _relink(self, full: str) -> None:
        for one in self.schema:
            for row in list(self.store.table(one.name).rows.values()):
                for name, target in row.get("_cleared", ()):
                    if target == full and row.get(name) is None:
                        self.store.put(one.name, {**row, name: full})

    def purge(self, name: str, key: str) -> None:
        """Remove a record for good, as the emptying of the recycle bin does. Unknown ids are ignored."""
        self.store.remove(name, key)

    def hard_delete(self, name: str, key: str, actor: Actor) -> None:
        """Delete a record and its dependants without the recycle bin (Bulk `hardDelete`)."""
        with self.store.savepoint():
            self.delete(name, key, actor)
            full = to18(key)
            for one in self.schema:
                gone = list(self.store.table(one.name).matching("_deleted_with", full))
                for dependent in gone:
                    self.purge(one.name, dependent)

    def merge(self, name: str, master: str, losers: list[str], data: Mapping[str, Any], actor: Actor) -> list[str]:
        """Merge up to two records into a master: children move, losers go, `MasterRecordId` says where to.

        Returns the ids of re-parented children. Raises Failure.
        """
        sobject = self.sobject(name)
        if sobject.name not in MERGEABLE:
            raise Failure(400, "INVALID_TYPE", f"{sobject.name} is not mergeable", [])
        if not 1 <= len(losers) <= 2 or len({to18(k) for k in (master, *losers)}) != len(losers) + 1:
            raise Failure(400, "INVALID_ARGUMENT_TYPE", "merge takes one master and one or two other records", [])
        moved: list[str] = []
        with self.store.savepoint():
            winner = self._row_to_write(sobject, master)
            at = self._statement_time(sobject.name)
            for key in losers:
                loser = self._row_to_write(sobject, key)
                moved += self._reparent(sobject, loser["Id"], winner["Id"], at)
                self.store.put(
                    sobject.name,
                    {
                        **self.store.table(sobject.name).rows[loser["Id"]],
                        "IsDeleted": True,
                        "MasterRecordId": winner["Id"],
                        "LastModifiedDate": at,
                        "LastModifiedById": actor.user,
                        "SystemModstamp": at,
                    },
                )
                self.store.log_deletion(sobject.name, loser["Id"], at)
            self.update(sobject.name, winner["Id"], data, actor)
        return moved

    def _reparent(self, sobject: SObject, loser: str, winner: str, at: str) -> list[str]:
        moved = []
        for kid in self.schema.children(sobject.name).values():
            if kid.field == "MasterRecordId":
                continue
            child = self.schema.object(kid.child)
            assert child is not None
            for row in self.store.find(kid.child, kid.field, loser):
                changed = {**row, kid.field: winner}
                if "SystemModstamp" in child.fields:
                    changed["SystemModstamp"] = at
                if "LastModifiedDate" in child.fields:
                    changed["LastModifiedDate"] = at
                self.store.put(kid.child, changed)
                moved.append(row["Id"])
        return moved


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return left.casefold() == right.casefold()
    return bool(left == right)


def _missing(names: list[str]) -> Failure:
    return Failure(400, "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(names)}]", names)


def _auto_number(pattern: str, number: int) -> str:
    head, _, rest = pattern.partition("{")
    digits, _, tail = rest.partition("}")
    return f"{head}{number:0{len(digits)}d}{tail}"


def _duplicates(rule: DuplicateRule, found: list[Row], version: float) -> Failure:
    text = "Use one of these records?"
    matches = [
        {
            "additionalInformation": [],
            "fieldDiffs": [],
            "matchConfidence": 100.0,
            "record": {
                "attributes": {
                    "type": rule.object,
                    "url": f"/services/data/v{version:.1f}/sobjects/{rule.object}/{row['Id']}",
                },
                "Id": row["Id"],
            },
        }
        for row in found
    ]
    result = {
        "allowSave": rule.allow_save,
        "duplicateRule": rule.name,
        "duplicateRuleEntityType": rule.object,
        "errorMessage": text,
        "matchResults": [
            {
                "entityType": rule.object,
                "errors": [],
                "matchEngine": "ExactMatchEngine",
                "matchRecords": matches,
                "rule": rule.name,
                "size": len(matches),
                "success": True,
            }
        ],
    }
    return Failure(400, "DUPLICATES_DETECTED", text, None, {"duplicateResult": result})
