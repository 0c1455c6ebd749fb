"""Bad days by name: what `server.condition(name, ...)` and `POST /conditions/{name}` of the control API can bring
about.

Each is something that happens to real organisations; none is a transport fault (those are the kit's).
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from . import person_accounts
from .errors import Failure
from .ids import to18
from .records import Actor, Automation, DuplicateRule, RowLock, Rules, ValidationRule
from .schema import PicklistValue, SObject
from .store import Row

if TYPE_CHECKING:
    from .server import SalesforceServer

_PLUMBING = frozenset({"names", "apply", "snapshot", "restore"})


@dataclass
class OpenTransaction:
    """Writes of somebody else that are stamped and not committed: nobody sees them yet, and their rows are locked."""

    name: str
    began: str
    changes: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    deletions: list[tuple[str, str, str]] = field(default_factory=list)


class BadDays:
    """The conditions, one public method each; the docstring is what the control API shows."""

    def __init__(self, server: SalesforceServer) -> None:
        self._server = server
        self._records = server.records
        self.open: dict[str, OpenTransaction] = {}
        self.query_timeouts = 0
        self.bulk_stuck_jobs = 0
        self.bulk_failures: list[str] = []
        self.soap_login = True
        self.deletions_purged_until: str | None = None

    def names(self) -> dict[str, str]:
        """Condition names with what they do and take."""
        listed = {}
        for name, method in inspect.getmembers(self, inspect.ismethod):
            if not name.startswith("_") and name not in _PLUMBING:
                takes = str(inspect.signature(method)).split(" -> ")[0]
                listed[name] = f"{inspect.getdoc(method)} Takes {takes}."
        return listed

    def apply(self, name: str, args: Mapping[str, Any]) -> Any:
        """Run a condition. Raises KeyError for an unknown name, ValueError for arguments that make no sense."""
        if name not in self.names():
            raise KeyError(f"no condition {name!r}; known: {', '.join(sorted(self.names()))}")
        try:
            return getattr(self, name)(**args)
        except Failure as failure:
            raise ValueError(f"{failure.code}: {failure.message}") from failure
        except TypeError as error:
            raise ValueError(f"condition {name}: {error}") from error

    def snapshot(self) -> Any:
        """The switches in force and the transactions open."""
        plain = {k: copy.deepcopy(v) for k, v in vars(self).items() if k not in ("_server", "_records")}
        return plain, set(self._records.locked)

    def restore(self, snapshot: Any) -> None:
        """Back to a snapshot."""
        plain, locked = snapshot
        vars(self).update(copy.deepcopy(plain))
        self._records.locked = set(locked)

    def _object(self, name: str) -> SObject:
        found = self._server.schema.object(name)
        if found is None:
            raise ValueError(f"no object {name!r}")
        return found

    # time and transactions

    def late_commit(self, seconds: float = 60, object: str | None = None, count: int = 1) -> None:
        """The next writes become visible with a stamp that is `seconds` old, as after a long transaction."""
        self._records.rules.late += [(seconds, self._object(object).name if object else None)] * count

    def hold_transaction(
        self, operations: Sequence[Mapping[str, Any]], transaction: str | None = None, user: str | None = None
    ) -> dict[str, Any]:
        """Somebody writes and does not commit: rows are stamped now, seen at `commit`, locked until then.

        `operations`: {"op": "insert", "object", "fields"}, {"op": "update", "object", "id", "fields"} or {"op":
        "delete", "object", "id"}. Naming an open transaction adds to it. Answers the transaction's name and the ids.
        """
        name = transaction or f"tx{len(self.open) + 1}"
        held = self.open.setdefault(name, OpenTransaction(name, self._records.now()))
        actor = Actor(user or self._server.admin_id)
        ids = []
        store = self._server.store
        logged = len(store.deletions)
        with store.savepoint() as rollback:
            for one in operations:
                ids.append(self._operate(one, actor))
            held.deletions += store.deletions[logged:]
            written = rollback()
        final: dict[tuple[str, str], Row] = {}
        for table, key, row in written:
            if row is not None:
                final.setdefault((table, key), row)
        for (table, key), row in reversed(final.items()):
            before = store.get(table, key)
            changed = {k: v for k, v in row.items() if before is None or before.get(k) != v or k not in before}
            held.changes.append((table, key, changed))
            if before is not None:
                self._records.locked.add(key)
        return {"transaction": name, "ids": ids}

    def _operate(self, one: Mapping[str, Any], actor: Actor) -> str:
        if one.get("op") == "insert":
            return self._records.create(one["object"], one.get("fields", {}), actor)
        if one.get("op") == "update":
            return self._records.update(one["object"], one["id"], one.get("fields", {}), actor)
        if one.get("op") == "delete":
            self._records.delete(one["object"], one["id"], actor)
            return str(one["id"])
        raise ValueError(f"an operation is an insert, update or delete, not {one.get('op')!r}")

    def commit(self, transaction: str) -> list[str]:
        """Commit an open transaction: its rows appear, with the stamps of their statements. Answers the ids written."""
        held = self._take(transaction)
        for table, key, changed in held.changes:
            before = self._server.store.get(table, key)
            self._server.store.put(table, {**(before or {}), **changed, "Id": key})
        for entry in held.deletions:
            self._server.store.log_deletion(*entry)
        return [key for _, key, _ in held.changes]

    def rollback(self, transaction: str) -> None:
        """Give up an open transaction."""
        self._take(transaction)

    def _take(self, name: str) -> OpenTransaction:
        held = self.open.pop(name, None)
        if held is None:
            raise ValueError(f"no open transaction {name!r}; open: {', '.join(self.open) or 'none'}")
        still = {key for other in self.open.values() for _, key, _ in other.changes}
        self._records.locked -= {key for _, key, _ in held.changes} - still
        return held

    # permissions and schema

    def permission_removed(self, object: str, field: str | None = None, access: str = "read") -> None:
        """The user may no longer see (`access` read) or write (edit) a field, or see a whole object."""
        target, rules = self._object(object), self._records.rules
        if field is None:
            rules.no_access |= {target.name}
        else:
            found = target.field(field)
            if found is None:
                raise ValueError(f"{target.name} has no field {field!r}")
            table = rules.hidden if access == "read" else rules.read_only
            table[target.name] = table.get(target.name, frozenset()) | {found.name}
        self._server.schema_has_changed()

    def permission_restored(self, object: str, field: str | None = None) -> None:
        """Undo permission_removed."""
        target, rules = self._object(object), self._records.rules
        if field is None:
            rules.no_access -= {target.name}
        else:
            for table in (rules.hidden, rules.read_only):
                table[target.name] = frozenset(f for f in table.get(target.name, ()) if f.lower() != field.lower())
        self._server.schema_has_changed()

    def field_removed(self, object: str, field: str) -> None:
        """An administrator deletes a field, with its values."""
        self._server.schema.edit()
        target = self._object(object)
        dropped = target.drop(field)
        for row in list(self._server.store.table(target.name).rows.values()):
            self._server.store.put(target.name, {k: v for k, v in row.items() if k != dropped.name})
        self._server.schema_has_changed()

    def field_renamed(self, object: str, field: str, to: str) -> None:
        """An administrator changes a field's API name; its values stay."""
        self._server.schema.edit()
        target = self._object(object)
        renamed = target.drop(field)
        old, renamed.name = renamed.name, to
        target.add(renamed)
        for row in list(self._server.store.table(target.name).rows.values()):
            self._server.store.put(target.name, {to if k == old else k: v for k, v in row.items()})
        self._server.schema_has_changed()

    def picklist_value_added(self, object: str, field: str, value: str, label: str | None = None) -> None:
        """A picklist gets another choice."""
        self._server.schema.edit()
        found = self._object(object).field(field)
        if found is None:
            raise ValueError(f"{object} has no field {field!r}")
        found.values.append(PicklistValue(value, label or value))
        self._server.schema_has_changed()

    def picklist_value_removed(self, object: str, field: str, value: str) -> None:
        """A choice of a picklist is made inactive; records keep it, new writes to a restricted picklist are refused."""
        self._server.schema.edit()
        found = self._object(object).field(field)
        for choice in found.values if found else ():
            if choice.value == value:
                choice.active = False
        self._server.schema_has_changed()

    # rules

    def validation_rule(self, object: str, formula: str, message: str, field: str | None = None) -> None:
        """Saves are refused when `formula`, a SOQL condition such as "Amount < 0", is true of the record."""
        target = self._object(object)
        rule = ValidationRule(target.name, formula, message, field, self._server.engine.condition(target.name, formula))
        self._records.rules.validation.append(rule)

    def duplicate_rule(
        self, object: str, fields: Sequence[str], allow_save: bool = True, rule: str = "Standard_Duplicate_Rule"
    ) -> None:
        """Saves are refused when another record agrees on all `fields`; with allow_save the client may insist."""
        target = self._object(object)
        names = []
        for one in fields:
            found = target.field(one)
            if found is None:
                raise ValueError(f"{target.name} has no field {one!r}")
            names.append(found.name)
        self._records.rules.duplicates.append(DuplicateRule(target.name, tuple(names), allow_save, rule))

    def row_lock(self, count: int = 1, object: str | None = None, id: str | None = None) -> None:
        """The next `count` writes (to an object, to a record) fail with UNABLE_TO_LOCK_ROW."""
        self._records.rules.locks.append(
            RowLock(count, self._object(object).name if object else None, to18(id) if id else None)
        )

    def automation(self, object: str, values: Mapping[str, Any], system: bool = False, user: str | None = None) -> None:
        """After each save, the server sets fields: a constant, or "=Other" for another field's value.

        With `system`, only SystemModstamp moves; LastModifiedDate and its user stay.
        """
        self._records.rules.automations.append(Automation(self._object(object).name, dict(values), system, user))

    def rules_cleared(self) -> None:
        """Lift validation and duplicate rules, locks, automation, hidden fields and late commits."""
        self._records.rules = Rules()
        self._server.schema_has_changed()

    # sessions, queries, replication, bulk

    def session_expired(self, user: str | None = None) -> int:
        """All sessions (of one user) end now; the next call gets 401. Answers how many."""
        return self._server.sessions.end_all(user)

    def quota(self, limit: int | None = None, remaining: int | None = None) -> dict[str, int]:
        """Set the daily allowance of API calls, or how many remain today. Answers both."""
        now = self._server.clock.now()
        if limit is not None:
            self._server.quota.limit = limit
        if remaining is not None:
            self._server.quota.exhaust(now, remaining)
        return {"limit": self._server.quota.limit, "used": self._server.quota.used(now)}

    def locators_expire(self) -> int:
        """All open query locators end now. Answers how many there were."""
        return self._server.cursors.expire()

    def page_size(self, rows: int | None = None) -> None:
        """Query pages hold this many rows, whatever the client asks for; None: as asked."""
        if rows is not None and rows < 1:
            raise ValueError("a page holds at least one row")
        self._server.cursors.page_size = rows

    def query_timeout(self, count: int = 1) -> None:
        """The next `count` queries fail with QUERY_TIMEOUT."""
        self.query_timeouts += count

    def purge_delete_log(self) -> int:
        """The delete log is purged, as it may be after two hours; getDeleted then refuses older windows.

        Answers entries gone.
        """
        count = len(self._server.store.deletions)
        self._server.store.deletions = []
        self.deletions_purged_until = self._records.now()
        return count

    def recycle_bin_emptied(self, object: str | None = None) -> int:
        """Deleted rows go for good. Answers how many."""
        count = 0
        for one in self._server.schema if object is None else (self._object(object),):
            for row in list(self._server.store.table(one.name).rows.values()):
                if row.get("IsDeleted"):
                    self._records.purge(one.name, row["Id"])
                    count += 1
        return count

    def activities_archived(self, ids: Sequence[str]) -> None:
        """Events and tasks are archived: only queryAll shows them from now on."""
        for key in ids:
            found = self._server.schema.of_prefix(key[:3])
            if found is None or "IsArchived" not in found.fields:
                raise ValueError(f"{key} is no activity")
            self._records.touch(found.name, to18(key) or key, IsArchived=True)

    def bulk_stuck(self, count: int = 1) -> None:
        """The next `count` bulk jobs stay InProgress until bulk_released."""
        self.bulk_stuck_jobs += count

    def bulk_released(self) -> int:
        """Stuck bulk jobs go on. Answers how many."""
        return self._server.bulk.release() + self._server.bulk_v1.release()

    def bulk_fail(
        self, count: int = 1, message: str = "InternalServerError : Unexpected exception encountered when processing"
    ) -> None:
        """The next `count` bulk jobs end as Failed with a message."""
        self.bulk_failures += [message] * count

    # switches for what is not known for sure

    def upsert_update_status(self, status: int | None = None) -> None:
        """Upserts that update answer 200 or 204; None: 200 from API 46.0, 204 before."""
        if status not in (None, 200, 204):
            raise ValueError("an upsert that updates answers 200 or 204")
        self._records.settings.upsert_update_status = status

    def setting(self, key: str, value: Any) -> None:
        """Set one of `Settings` by name."""
        if not hasattr(self._records.settings, key):
            raise ValueError(f"no setting {key!r}; known: {', '.join(sorted(vars(self._records.settings)))}")
        setattr(self._records.settings, key, value)
        self._server.cursors.life = timedelta(days=self._records.settings.locator_days)

    def person_accounts(self) -> None:
        """The organisation has person accounts from now on.

        Accounts with a LastName are people, with a Contact of their own.
        """
        person_accounts.enable(self._server.schema)
        self._server.schema_has_changed()

    def soap_login_disabled(self, disabled: bool = True) -> None:
        """SOAP login is off in this organisation, as it is by default in new ones."""
        self.soap_login = not disabled
