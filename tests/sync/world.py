"""In-process systems for volume: the semantics of the practice servers at memory speed, and a ledger of what people did.

A `FakeSystem` keeps records, stamps them coarsely, shows changes in its feed only after a lag, merges, archives, knows
unique keys, and can lose an answer after the effect. `Ledger` stands outside the engine: it knows every value a person
typed and what that person had seen, so that a lost update is found by comparing worlds, not by asking the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sidefeed.connector import (
    Calls,
    Capabilities,
    ConnectorError,
    CursorExpired,
    Duplicate,
    FieldSchema,
    Gone,
    Invalid,
    Locked,
    ObjectSchema,
    Outcome,
    OutcomeStatus,
    Page,
    RateLimited,
    Remote,
    Stream,
    Unavailable,
    Write,
)
from sidefeed.mapping import Mapping as Mappings
from sidefeed.mapping import load

ENTITIES = """
entities:
  account:
    deletes: propagate
    fields:
      name: text
      domain: text
      phone: {type: text, policy: ask}
  opportunity:
    deletes: propagate
    fields:
      name: {type: text, policy: ask}
      next_step: text
      amount: {type: number, policy: ask}
      account: ref account
      tags: set
"""

SYSTEM = """
system: %s
key_field: key
objects:
  Account:
    entity: account
    match: [domain]
    fields:
      name: Name
      domain: Domain
      phone: Phone
  Deal:
    entity: opportunity
    match: [[name, account]]
    fields:
      name: {field: Name, required_on_create: true}
      next_step: NextStep
      amount: Amount
      account: {field: AccountId}
      tags: {field: Tags, separator: ";"}
"""


SLOWEST = 500
"""Seconds after which a create that is at work has taken effect, however few calls came after it."""


class Killed(BaseException):
    """The process died here."""


class World:
    """The clock and the systems that share it."""

    def __init__(self, names: Sequence[str] = ("a", "b"), **options: Any) -> None:
        self.tick = 0
        self.calls = 0
        self.on_call: Callable[[int, str, str], None] | None = None
        self.systems = {name: FakeSystem(name, self, **options) for name in names}

    def now(self) -> datetime:
        return datetime(2026, 11, 2, tzinfo=UTC) + timedelta(seconds=self.tick)

    def io(self, phase: str, what: str) -> None:
        if phase == "before":
            self.calls += 1
        if self.on_call is not None:
            self.on_call(self.calls, phase, what)


@dataclass
class Row:
    id: str
    values: dict[str, Any]
    version: int
    stamp: int
    visible: int
    deleted: bool = False
    merged_into: str | None = None
    actor: str = "person"
    history: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


@dataclass(frozen=True)
class Applied:
    """One write of ours that took effect: what the object held before and after."""

    object: str
    id: str
    op: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]


class FakeSystem:
    """One outside system and its connector in one: ``person_*`` is what people do, the rest is the connector."""

    def __init__(
        self, name: str, world: World, *, lag: int = 0, coarse: int = 1, conditional: bool = True,
        history: bool = False, overlap: int = 30, page: int = 3, batch: int = 4,
        normal: Callable[[str, Any], Any] | None = None, unique: bool = True,
    ) -> None:
        self.system = name
        self.world = world
        self.lag, self.coarse, self.overlap, self.page, self.batch = lag, coarse, overlap, page, batch
        self.conditional, self.history = conditional, history
        self.unique = unique
        self.robot: str | None = None
        self.hidden: set[str] = set()
        self.normal = normal or (lambda _name, value: value)
        self.rows: dict[str, dict[str, Row]] = {object: {} for object in _FIELDS}
        self.calls = Calls()
        self.lose_answer = 0
        self.late: int | None = None  # after how many calls the next creates take effect, whose answer is lost
        self.at_work: list[tuple[int, int, str, Write]] = []
        self.fail_before = 0
        self.fates: list[ConnectorError | None] = []  # what becomes of the next calls, before they have any effect
        self.breaks_off: tuple[int, bool] | None = None
        self.expired: set[str] = set()
        self.refuse: Callable[[str, Write], str | ConnectorError | None] = lambda _object, _write: None
        self.poison: Callable[[str, Write], bool] = lambda _object, _write: False
        self.next_lag: int | None = None
        self.writes_seen: list[tuple[str, Write]] = []
        self.applied: list[Applied] = []
        self.hides = False
        self.forgets = False  # a first reading tells of nothing that was deleted before it, as in both CRMs

    # -- people -------------------------------------------------------------------------------------------------

    def person_creates(self, object: str, values: Mapping[str, Any], actor: str = "person") -> str:
        id = f"{self.system}{object[0]}{len(self.rows[object]) + 1:04d}"
        blank = dict.fromkeys(_FIELDS[object])
        self.rows[object][id] = Row(id, {**blank, **self._normalised(values)}, 1, self._stamp(), self._visible(),
                                    actor=actor)
        return id

    def person_edits(self, object: str, id: str, values: Mapping[str, Any], actor: str = "person") -> None:
        row = self.rows[object][id]
        assert not row.deleted
        self._write(row, values, actor)

    def person_deletes(self, object: str, id: str) -> None:
        row = self.rows[object][id]
        row.deleted, row.version, row.stamp, row.visible = True, row.version + 1, self._stamp(), self._visible()

    def person_restores(self, object: str, id: str) -> None:
        row = self.rows[object][id]
        row.deleted, row.version, row.stamp, row.visible = False, row.version + 1, self._stamp(), self._visible()

    def person_merges(self, object: str, winner: str, loser: str) -> None:
        self.person_deletes(object, loser)
        self.rows[object][loser].merged_into = winner
        if object == "Account":
            for deal in self.rows["Deal"].values():
                if deal.values["AccountId"] == loser and not deal.deleted:
                    self._write(deal, {"AccountId": winner}, "merge")
        self._write(self.rows[object][winner], {}, "merge")

    def live(self, object: str) -> dict[str, dict[str, Any]]:
        return {id: row.values for id, row in self.rows[object].items() if not row.deleted}

    def _write(self, row: Row, values: Mapping[str, Any], actor: str) -> None:
        row.history.append((actor, dict(row.values)))
        row.values.update(self._normalised(values))
        row.version += 1
        row.actor = actor
        row.stamp, row.visible = self._stamp(), self._visible()

    def _normalised(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self.normal(name, value) for name, value in values.items()}

    def _stamp(self) -> int:
        return self.world.tick // self.coarse * self.coarse

    def _visible(self) -> int:
        lag = self.lag if self.next_lag is None else self.next_lag
        return self.world.tick + lag

    # -- the connector ------------------------------------------------------------------------------------------

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> FakeSystem:
        raise NotImplementedError

    def marker(self) -> str:
        return f"org-{self.system}"

    def streams(self, object: str) -> Sequence[Stream]:
        return [Stream(object)]

    def capabilities(self, object: str) -> Capabilities:
        return Capabilities(conditional=self.conditional, history=self.history, merges=True, write_batch=self.batch,
                            read_batch=self.batch, hides=self.hides, unique_keys=self.unique)

    def describe(self, object: str) -> ObjectSchema:
        return ObjectSchema(object, object, {name: FieldSchema(name, "string") for name in _FIELDS[object]})

    def changes(
        self, stream: Stream, fields: Sequence[str], cursor: str | None, *, scope: Any = None
    ) -> Iterator[Page]:
        if cursor is not None and stream.object in self.expired:
            self.expired.discard(stream.object)
            raise CursorExpired(f"{self.system} does not honour that cursor any more")
        since, after = (int(part) for part in (cursor or "-1000000 -1").split())
        upto = self.world.tick
        rows = sorted((row for row in self.rows[stream.object].values()
                       if row.stamp >= since - self.overlap and row.visible <= self.world.tick
                       and row.id not in self.hidden and not (self.forgets and cursor is None and row.deleted)),
                      key=lambda row: (row.stamp, row.id))
        chunks = [rows[start:start + self.page] for start in range(0, len(rows), self.page)] or [[]]
        for number, chunk in enumerate(chunks):
            if number <= after:
                continue
            last = number == len(chunks) - 1
            self._io("read")
            yield Page(tuple(self._remote(row) for row in chunk), f"{upto} -1" if last else f"{since} -1", last,
                       self.world.now() if last else None)

    def fetch(self, stream: Stream, fields: Sequence[str], ids: Sequence[str]) -> list[Remote]:
        self._io("read")
        rows = self.rows[stream.object]
        return [self._remote(rows[id]) if id in rows and id not in self.hidden else Remote(id, state="deleted")
                for id in ids]

    def find(self, stream: Stream, keys: Sequence[str]) -> Mapping[str, Sequence[str]]:
        self._io("read")
        found: dict[str, list[str]] = {key: [] for key in keys}
        for row in self.rows[stream.object].values():
            if row.values.get("key") in found and not row.deleted:
                found[row.values["key"]].append(row.id)
        return found

    def find_deleted(self, stream: Stream, keys: Sequence[str]) -> Mapping[str, Sequence[str]]:
        self._io("read")
        found: dict[str, list[str]] = {}
        for row in self.rows[stream.object].values():
            if row.values.get("key") in keys and row.deleted:
                found.setdefault(row.values["key"], []).append(row.id)
        return found

    def write(self, stream: Stream, writes: Sequence[Write]) -> Iterator[Outcome]:
        if self.fail_before:
            self.fail_before -= 1
            raise Unavailable(f"{self.system} does not answer")
        self.world.io("before", f"{self.system} write")
        self._arrive()
        self._fate()
        self.calls.used += 1
        if self.late is not None and writes[0].op == "create":
            self.at_work += [(self.world.calls + self.late, self.world.tick + SLOWEST, stream.object, write)
                             for write in writes]
            self.late = None
            return
        if any(self.poison(stream.object, write) for write in writes):
            raise Invalid("one of these rows cannot be read")
        if self.breaks_off is not None:
            yield from self._broken_off(stream.object, writes, *self.breaks_off)
            return
        outcomes = [self._one(stream.object, write) for write in writes]
        self.world.io("after", f"{self.system} write")
        if self.lose_answer:
            self.lose_answer -= 1
            return
        yield from reversed(outcomes)

    def _broken_off(self, object: str, writes: Sequence[Write], told: int, effect: bool) -> Iterator[Outcome]:
        """The first outcomes are told; the rest took effect unheard, or was turned away."""
        for number, write in enumerate(writes):
            if number < told:
                yield self._one(object, write)
            elif effect:
                self._one(object, write)
            else:
                yield Outcome(write.key, "retry", write.external_id, error=RateLimited("too many at once"))
        self.world.io("after", f"{self.system} write")
        if effect and told < len(writes):
            raise Unavailable(f"{self.system} broke off")

    def _fate(self) -> None:
        error = self.fates.pop(0) if self.fates else None
        if error is not None:
            raise error

    def _arrive(self) -> None:
        """Creates that were at work take effect, somewhere between two calls."""
        due = [one for one in self.at_work if one[0] <= self.world.calls or one[1] <= self.world.tick]
        self.at_work = [one for one in self.at_work if one not in due]
        for _call, _tick, object, write in due:
            self._one(object, write)

    def _one(self, object: str, write: Write) -> Outcome:
        self.writes_seen.append((object, write))
        rows = self.rows[object]
        refusal = self.refuse(object, write)
        if isinstance(refusal, ConnectorError):
            status: OutcomeStatus = "retry" if isinstance(refusal, Locked | Unavailable) else "refused"
            return Outcome(write.key, status, write.external_id, error=refusal)
        if refusal is not None:
            return Outcome(write.key, "refused", write.external_id, error=Invalid(
                f"{refusal} is not accepted", field=refusal))
        for column, parent in (("AccountId", "Account"), ("DealId", "Deal"), ("OwnerId", "User")):
            reference = write.values.get(column)
            assert reference is None or reference in self.rows[parent], "a write names a remote id that does not exist"
            if reference is not None and self.rows[parent][reference].deleted and write.op != "delete":
                return Outcome(write.key, "refused", write.external_id, error=Invalid(
                    f"{column} names what was deleted", field=column))
        if write.op == "create":
            taken = [row.id for row in rows.values()
                     if row.values.get("key") == write.external_key and not row.deleted] if self.unique else []
            if taken:
                return Outcome(write.key, "refused", error=Duplicate("that key is taken", of=taken))
            owner = {"OwnerId": write.values.get("OwnerId") or self.robot} if object == "Deal" else {}
            id = self.person_creates(object, {**write.values, **owner}, actor="sidefeed")
            self.applied.append(Applied(object, id, "create", {}, dict(rows[id].values)))
            return Outcome(write.key, "done", id, version="1")
        row = rows[write.external_id or ""]
        before = dict(row.values)
        if row.deleted or row.id in self.hidden:
            return Outcome(write.key, "refused", row.id, error=Gone(f"{row.id} is not there"))
        if self.conditional and write.version and write.version != str(row.version):
            return Outcome(write.key, "stale", row.id, version=str(row.version))
        if write.op == "delete":
            self.person_deletes(object, row.id)
        else:
            self._write(row, write.values, "sidefeed")
        self.applied.append(Applied(object, row.id, write.op, before, dict(row.values)))
        return Outcome(write.key, "done", row.id, version=str(row.version) if self.conditional else "")

    def acts_as(self, stream: Stream, made: str) -> str | None:
        self._io("read")
        return self.robot

    def overwritten(self, stream: Stream, outcomes: Mapping[str, Write]) -> Mapping[str, Mapping[str, Any]]:
        lost: dict[str, dict[str, Any]] = {}
        for id, write in outcomes.items():
            row = self.rows[stream.object][id]
            after = [*(values for _actor, values in row.history[1:]), row.values]
            before = next((row.history[number][1] for number in reversed(range(len(row.history)))
                           if row.history[number][0] == "sidefeed" and all(
                               after[number].get(name) == self.normal(name, value)
                               for name, value in write.values.items())), dict(write.expected))
            changed = {name: before[name] for name in write.values
                       if name in write.expected and before.get(name) != write.expected[name]}
            if changed:
                lost[id] = changed
        return lost

    def ids(self, stream: Stream) -> Iterator[tuple[str, str]]:
        self._io("read")
        yield from ((row.id, str(row.version)) for row in self.rows[stream.object].values()
                    if not row.deleted and row.id not in self.hidden)

    def prepare(self, objects: Sequence[str], *, apply: bool) -> Sequence[str]:
        return []

    def close(self) -> None:
        pass

    def _io(self, what: str) -> None:
        self.calls.used += 1
        self.world.io("before", f"{self.system} {what}")
        self._arrive()
        self._fate()
        self.world.io("after", f"{self.system} {what}")

    def _remote(self, row: Row) -> Remote:
        return Remote(row.id, dict(row.values), str(row.version), datetime(2026, 11, 2, tzinfo=UTC) +
                      timedelta(seconds=row.stamp), "deleted" if row.deleted else "live", row.merged_into, row.actor)


_FIELDS = {"Account": ("Name", "Domain", "Phone", "key"),
           "Deal": ("Name", "NextStep", "Amount", "AccountId", "Tags", "Scope", "OwnerId", "Second", "key"),
           "User": ("Email", "key"),
           "Item": ("Name", "DealId", "key")}


def mappings(folder: Path, systems: Sequence[str] = ("a", "b")) -> Mappings:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "entities.yaml").write_text(ENTITIES)
    for system in systems:
        (folder / f"{system}.yaml").write_text(SYSTEM % system)
    return load(folder)
