"""The queue of objects that could be several records: evidence with a score, answers one by one or in bulk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from difflib import SequenceMatcher
from typing import Any

from sidefeed.sync.match import normalise
from sidefeed.sync.report import Report
from sidefeed.sync.writes import ObjectPlan
from sidefeed.workspace import RecordState, StoreError, Transaction
from sidefeed.workspace.report import label

NEW = "new"
LEAD = 0.1
"""How far the best candidate must be ahead of the next: two that are as likely are for a person to tell apart."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A record that an object could be. ``score`` is between 0 and 1; ``same`` and ``differs`` name the fields."""

    record: str
    label: str
    score: float
    same: tuple[str, ...]
    differs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """One object that waits for a person, with what could be meant, the likeliest first."""

    system: str
    object: str
    external_id: str
    key: str
    values: Mapping[str, Any]
    candidates: tuple[Candidate, ...]

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "candidates": [asdict(one) for one in self.candidates]}

    def best(self, threshold: float) -> Candidate | None:
        """The candidate to accept without asking, where one is likely enough and clearly ahead."""
        first = self.candidates[0] if self.candidates else None
        if first is None or first.score < threshold:
            return None
        runner_up = self.candidates[1].score if len(self.candidates) > 1 else 0.0
        return first if first.score - runner_up >= LEAD else None


@dataclass(slots=True)
class LinkPlan:
    """What a first sync would make of the systems, before anything is written. ``feeds`` counts by feed: ``linked``
    already, ``matched``, ``new_here``, ``new_there`` (those that wait for a parent too) and ``ambiguous``."""

    feeds: dict[str, dict[str, int]] = field(default_factory=dict)
    matches: list[dict[str, str]] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)

    @classmethod
    def of(
        cls, tx: Transaction, report: Report, plans: Sequence[ObjectPlan], questions: Sequence[Question]
    ) -> LinkPlan:
        states = tx.records({match["record"] for match in report.matches})
        found = cls(matches=[{**match, "label": label(states[match["record"]])} for match in report.matches],
                    questions=list(questions))
        for plan in plans:
            feed = f"{plan.om.system} {plan.stream.name}"
            matched = sum(match["feed"] == feed for match in report.matches)
            introduced = report.introduced.get(feed, 0)
            asked = [one for one in questions if f"{one.system} {one.object}" == feed]
            disputed = {candidate.record for one in asked for candidate in one.candidates}
            linked = tx.count_links(plan.om.system, plan.stream.name)
            found.feeds[feed] = {
                "linked": linked - matched - introduced, "matched": matched, "new_here": introduced,
                "new_there": sum(write.op == "create" for write in plan.writes) + len(plan.waiting.keys() - disputed),
                "ambiguous": len(asked)}
        return found

    def as_json(self) -> dict[str, Any]:
        return {"feeds": self.feeds, "matches": self.matches, "questions": [one.as_json() for one in self.questions]}


def questions(tx: Transaction) -> list[Question]:
    """Every match that waits for a person."""
    rows = [row for row in tx.questions() if row["kind"] == "match"]
    states = tx.records({id for row in rows for id in row["evidence"]["candidates"]})
    return [Question(row["system"], row["object"], row["external_id"], row["evidence"]["key"],
                     row["evidence"]["values"], tuple(sorted(
                         (_candidate(row["evidence"]["values"], states[id]) for id in row["evidence"]["candidates"]
                          if id in states), key=lambda one: -one.score))) for row in rows]


def _candidate(values: Mapping[str, Any], state: RecordState) -> Candidate:
    scores = {name: _alike(value, state.values[name]) for name, value in values.items()
              if value is not None and state.values.get(name) is not None}
    label = state.values.get("name") or state.values.get("email") or state.values.get("last_name") or state.id
    score = sum(scores.values()) / len(scores) if scores else 0.0
    return Candidate(state.id, str(label), round(score, 2), tuple(name for name, one in scores.items() if one == 1),
                     tuple(name for name, one in scores.items() if one < 1))


def _alike(one: Any, other: Any) -> float:
    one, other = normalise(one), normalise(other)
    if one == other:
        return 1.0
    return SequenceMatcher(None, one, other).ratio() if isinstance(one, str) and isinstance(other, str) else 0.0


def answer(tx: Transaction, system: str, object: str, external_id: str, record: str) -> None:
    """Say which record an object is, or ``new``. The answer is remembered. Raises StoreError where nobody asked, or
    where that record was not among the candidates."""
    asked = {(one.system, one.object, one.external_id): one for one in questions(tx)}
    found = asked.get((system, object, external_id))
    if found is None:
        raise StoreError(f"nobody asked which record {system} {object} {external_id} is. `sidefeed link` lists what is "
                         f"asked.")
    known = [one.record for one in found.candidates]
    if record not in (NEW, *known):
        raise StoreError(f"{record!r} is no candidate of {system} {object} {external_id}; choose one of "
                         f"{', '.join(known)}, or {NEW!r}.")
    _answer(tx, system, object, external_id, record)


def accept(tx: Transaction, threshold: float) -> list[tuple[Question, Candidate]]:
    """Answer every question whose best candidate reaches the threshold and is clearly ahead; one object for each
    record. Returns what was accepted."""
    chosen = [(one, best) for one in questions(tx) if (best := one.best(threshold)) is not None]
    times: dict[tuple[str, str, str], int] = {}
    for one, best in chosen:
        key = (one.system, one.object, best.record)
        times[key] = times.get(key, 0) + 1
    accepted = [(one, best) for one, best in chosen if times[(one.system, one.object, best.record)] == 1]
    for one, best in accepted:
        _answer(tx, one.system, one.object, one.external_id, best.record, score=best.score)
    return accepted


def answer_new(tx: Transaction) -> list[Question]:
    """Say of every object that resembles no record that it is a new one; returns those."""
    alone = [one for one in questions(tx) if not one.candidates]
    for one in alone:
        _answer(tx, one.system, one.object, one.external_id, NEW)
    return alone


def _answer(tx: Transaction, system: str, object: str, external_id: str, record: str, **evidence: Any) -> None:
    tx.answer(system, object, external_id, record)
    tx.note("link", system=system, object=object, record=None if record == NEW else record, external_id=external_id,
            answer=record, **evidence)
