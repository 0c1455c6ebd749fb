"""What a run did, for people and for programs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from sidefeed.errors import Codes
from sidefeed.mapping import ObjectMap
from sidefeed.plural import many
from sidefeed.workspace import Change


@dataclass(frozen=True, slots=True)
class Problem:
    """Something a person must know or act on: what happened, to which record, why, and what to do next."""

    system: str
    object: str
    record: str
    field: str | None
    code: str
    message: str
    owner: str = "ops"

    def __str__(self) -> str:
        place = f"{self.system} {self.object} {self.record}" + (f", field {self.field}" if self.field else "")
        return f"{place}: {self.message} [{self.code}, for {self.owner}]"


TO_DECIDE = {
    "conflicts": ("field is", "fields are", "in conflict: `sidefeed conflicts` lists what is"),
    "ambiguous": ("object", "objects", "could be one of several records: `sidefeed link` shows which"),
    "flips_parked": ("field flips", "fields flip", (
        "to and fro, and nothing of that is written: `sidefeed conflicts` shows what")),
    "duplicates": ("object is a second copy", "objects are second copies", (
        "of a record, left alone: `sidefeed status` lists what is")),
}
"""What a run counts that waits for somebody's decision, and how it is told of one and of several."""


@dataclass(slots=True)
class Report:
    """Counts and problems of one run."""

    run: str
    counts: dict[str, int] = field(default_factory=dict)
    written: dict[str, dict[str, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    changes: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)
    parked: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    paused: dict[str, str] = field(default_factory=dict)
    """What waits in each feed that a person paused, and since when."""
    approved: list[str] = field(default_factory=list)
    still_parked: list[str] = field(default_factory=list)
    """Why an approved run waits on: what failed of what it was to write."""
    codes: Codes = field(default_factory=Codes)
    matches: list[dict[str, str]] = field(default_factory=list)
    """Which objects were found to be known records, by which natural key."""
    introduced: dict[str, int] = field(default_factory=dict)
    """How many objects of each feed became new records."""
    audit_head: str = ""
    """The number and hash of the last entry of the audit trail after this run: kept elsewhere, it proves all before."""

    def count(self, what: str, number: int = 1) -> None:
        if number:
            self.counts[what] = self.counts.get(what, 0) + number

    def wrote(self, system: str, object: str, op: str) -> None:
        self.count("written")
        by_op = self.written.setdefault(f"{system} {object}", {})
        by_op[op] = by_op.get(op, 0) + 1

    def absorbed(self, om: ObjectMap, change: Change) -> None:
        key = f"{om.system} {om.entity}"
        self.changes[key] = self.changes.get(key, 0) + 1

    def problem(
        self, system: str, object: str, record: str, field: str | None, code: str, message: str,
        owner: str | None = None,
    ) -> None:
        self.problems.append(Problem(
            system, object, record, field, code, message, owner or self.codes.explain(code).owner))

    def add(self, other: Report) -> None:
        """Take in what another part of the same work did; the run stays this one."""
        self.audit_head = other.audit_head or self.audit_head
        for what, number in other.counts.items():
            self.count(what, number)
        for feed, ops in other.written.items():
            mine = self.written.setdefault(feed, {})
            for op, number in ops.items():
                mine[op] = mine.get(op, 0) + number
        for mine, theirs in ((self.changes, other.changes), (self.introduced, other.introduced)):
            for key, number in theirs.items():
                mine[key] = mine.get(key, 0) + number
        for told, more in ((self.failed, other.failed), (self.waiting, other.waiting), (self.skipped, other.skipped),
                           (self.paused, other.paused)):
            told |= {key: text for key, text in more.items() if key not in told}
        for listed, more_of in ((self.parked, other.parked), (self.approved, other.approved)):
            listed += more_of
        self.problems += [problem for problem in other.problems if problem not in self.problems]
        self.matches += other.matches

    @property
    def to_decide(self) -> int:
        """How much this run found that a person must decide. What was found before and still waits is not counted."""
        return sum(self.counts.get(what, 0) for what in TO_DECIDE)

    @property
    def decisions(self) -> list[str]:
        """What a person must decide, each kind in a sentence that names the command which shows it."""
        return [f"{many(self.counts[what], one, several)} {sentence}"
                for what, (one, several, sentence) in TO_DECIDE.items() if self.counts.get(what)]

    @property
    def ok(self) -> bool:
        return not self.failed and not self.parked

    def as_json(self) -> dict[str, Any]:
        return {"run": self.run, "ok": self.ok, "to_decide": self.to_decide, "counts": self.counts,
                "written": self.written, "absorbed": self.changes,
                "problems": [asdict(problem) for problem in self.problems],
                "failed": self.failed, "waiting": self.waiting, "parked": self.parked,
                "skipped": self.skipped, "paused": self.paused, "approved": self.approved,
                "still_parked": self.still_parked,
                **({"audit_head": self.audit_head} if self.audit_head else {})}
