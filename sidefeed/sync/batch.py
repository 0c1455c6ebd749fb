"""One transaction's worth of observations of one feed: what every step that absorbs them knows and adds to."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sidefeed.connector import Stream
from sidefeed.mapping import Entity, ObjectMap
from sidefeed.mapping import Mapping as Mappings
from sidefeed.sync.observation import Observation
from sidefeed.sync.refs import BatchRefs
from sidefeed.sync.report import Report
from sidefeed.workspace import RecordState, Transaction


@dataclass(slots=True)
class Batch:
    """``source`` is whom the history names; ``hides``: whether absence there may be a lost permission; ``done``:
    ids that leave the inbox; ``touched``: records whose policies are asked; ``ancestors``: what both sides of a set
    began with; ``given``: to whom the system gives what we make, where that is to be weighed; ``refs``: the
    references that its live objects make; ``blanks``: what a blank reads as, by field."""

    tx: Transaction
    mappings: Mappings
    om: ObjectMap
    stream: Stream
    report: Report
    source: str
    hides: bool
    given: str | bool = False
    now: datetime = field(init=False)
    done: list[str] = field(default_factory=list)
    touched: dict[str, RecordState] = field(default_factory=dict)
    ancestors: dict[tuple[str, str], Any] = field(default_factory=dict)
    refs: BatchRefs = field(init=False)
    blanks: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.now = self.tx.store.now()
        self.blanks = {spec.name: spec.lens.image(None) for spec in self.om.fields if spec.reads}

    @property
    def system(self) -> str:
        return self.om.system

    @property
    def entity(self) -> Entity:
        return self.mappings.entities[self.om.entity]

    def survivor(self, record: str) -> str:
        state = self.tx.record(record)
        while state is not None and state.merged_into:
            record = state.merged_into
            state = self.tx.record(record)
        return record

    def remember(self, one: Observation, role: str) -> None:
        assert one.record is not None
        self.tx.remember(self.system, self.stream.name, one.id, self.om.entity, one.record, role)

    def actors(self, ids: list[str | None]) -> dict[str, str]:
        wanted = {id for id in ids if id}
        users = self.tx.records_known_as(self.system, "user", wanted)
        states = self.tx.records(list(users.values()))
        return {id: str(states[record].values.get("email") or states[record].values.get("name") or id)
                for id, record in users.items() if record in states}
