"""A plan that was saved, looked at and approved: applied exactly, or refused because the world moved.

What is compared is what people looked at: record by record, field by field, before and after. Records that wait for a
parent in the plan may be created once the parent is there; nothing else is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from sidefeed.connector import Connector
from sidefeed.mapping import Mapping as Mappings
from sidefeed.sync.report import Report
from sidefeed.sync.writes import ObjectPlan, PlannedWrite, min_calls
from sidefeed.workspace import StoreError
from sidefeed.workspace.clock import Now, utc_text

FORMAT = 1


class WorldMoved(StoreError):
    """A saved plan is not what a sync would do now; ``differences`` says where."""

    def __init__(self, differences: Sequence[str]) -> None:
        self.differences = tuple(differences)
        shown = "; ".join(differences[:5]) + (f"; and {len(differences) - 5} more" if len(differences) > 5 else "")
        super().__init__(f"The plan was not applied and nothing was written, because the world moved since it was "
                         f"made: {shown}. Make a new plan with `sidefeed plan --out FILE`, look at it, apply that.")


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """Every write of a plan in plain data. ``calls`` is the least number of requests by system; ``mails`` the messages
    that the systems would send to people because of it, which is none unless an organiser asked for them;
    ``later`` what is created once a parent is there, without the references to it."""

    made: str
    systems: tuple[str, ...]
    mapping: str
    writes: tuple[dict[str, Any], ...]
    waiting: dict[str, str] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    parked: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    failed: dict[str, str] = field(default_factory=dict)
    mails: int = 0
    later: tuple[dict[str, Any], ...] = ()

    @property
    def messages(self) -> list[str]:
        """Every message in a sentence: what, to whom, and who asked for it."""
        told = [(row["label"], row["mails"]) for row in self.writes if row.get("mails")]
        return [f"{mail['kind']} to {', '.join(mail['to'])} for the {label}, " + (
            f"asked for by {mail['organiser']}" if mail["asked_by_organiser"] else "not asked for by its organiser")
            for label, mail in told]

    @classmethod
    def of(
        cls, plans: Sequence[ObjectPlan], report: Report, mappings: Mappings, connectors: Mapping[str, Connector],
        systems: Sequence[str], now: Now,
    ) -> SavedPlan:
        calls: dict[str, int] = {}
        for plan in plans:
            if plan.writes or plan.later:
                capabilities = connectors[plan.om.system].capabilities(plan.om.object)
                calls[plan.om.system] = calls.get(plan.om.system, 0) + min_calls(
                    [*plan.writes, *plan.later], capabilities)
        return cls(
            utc_text(now()), tuple(systems), mappings.fingerprint,
            tuple(_plain(plan, write) for plan in plans for write in plan.writes),
            {_where(plan, record): why for plan in plans for record, why in plan.waiting.items()}, calls,
            dict(report.counts), tuple(report.parked), tuple(str(problem) for problem in report.problems),
            dict(report.failed), sum(len(write.mails.to) for plan in plans for write in plan.writes if write.mails),
            tuple(_plain(plan, write) for plan in plans for write in plan.later))

    def as_json(self) -> dict[str, Any]:
        return {"format": FORMAT, **{name: getattr(self, name) for name in self.__slots__}}

    def save(self, path: Path) -> None:
        path.write_bytes(orjson.dumps(self.as_json(), option=orjson.OPT_INDENT_2))

    @classmethod
    def load(cls, path: Path) -> SavedPlan:
        """Read a saved plan. Raises StoreError where the file is none."""
        try:
            told = orjson.loads(path.read_bytes())
            if told.pop("format") != FORMAT:
                raise StoreError(f"{path} was saved by another version of Sidefeed; make the plan again.")
            told |= {name: tuple(told[name]) for name in ("systems", "writes", "parked", "problems")}
            told["later"] = tuple(told.get("later", ()))
            return cls(**told)
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}.") from None
        except (ValueError, TypeError, AttributeError, KeyError):
            raise StoreError(f"{path} is no saved plan; `sidefeed plan --out FILE` makes one.") from None

    def check(self, plans: Sequence[ObjectPlan]) -> None:
        """Raise WorldMoved unless these plans are what was saved."""
        differences: list[str] = []
        mine = {_key(row): row for row in self.writes}
        now = {_key(row): row for plan in plans for write in plan.writes for row in [_plain(plan, write)]}
        for key, row in mine.items():
            if key not in now:
                differences.append(f"{_name(row)} needs no {row['op']} any more")
            else:
                differences += _field_differences(row, now[key])
        later = {_key(row): row for row in self.later}
        for row in (_plain(plan, write) for plan in plans for write in plan.later):
            differences += _field_differences(later[_key(row)], row) if _key(row) in later else []
        differences += [f"{_name(row)} now needs a {row['op']} as well" for key, row in now.items() if key not in mine]
        if differences:
            raise WorldMoved(differences)

    def hold_to(self, plan: ObjectPlan) -> None:
        """Put back whatever a later wave would write beyond what was saved: it waits for the next sync."""
        mine = {_key(row): row for row in self.writes}
        later = {_key(row): row for row in self.later}
        kept = []
        for write in plan.writes:
            row = _plain(plan, write)
            known = mine.get(_key(row))
            if (known is not None and not _field_differences(known, row)) or (
                    write.op == "create" and _where(plan, write.record) in self.waiting
                    and _holds(row, later.get(_key(row)))):
                kept.append(write)
            else:
                plan.waiting[write.record] = "not in the plan that was applied; the next sync takes it up"
        plan.writes = kept


def _holds(row: Mapping[str, Any], seen: Mapping[str, Any] | None) -> bool:
    """Whether a create says of each field what was shown of it; references to its parents come besides."""
    return seen is None or all(row["fields"].get(name) == told for name, told in seen["fields"].items())


def _plain(plan: ObjectPlan, write: PlannedWrite) -> dict[str, Any]:
    """A write as JSON, with its origin: each run makes new records anew, under other ids."""
    origin = f"{write.system} {write.object} {write.external_id}" if write.external_id else plan.origins.get(
        write.record, write.record)
    plain: dict[str, Any] = orjson.loads(orjson.dumps({**write.as_json(), "origin": origin}))
    return plain


def _key(row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    return row["system"], row["object"], row["origin"], row["op"]


def _where(plan: ObjectPlan, record: str) -> str:
    return f"{plan.om.system} {plan.stream.name}: {plan.origins.get(record, record)}"


def _name(row: Mapping[str, Any]) -> str:
    return f"{row['system']} {row['object']} {row['label']}"


def _field_differences(saved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    found = []
    for name in dict.fromkeys([*saved["fields"], *now["fields"]]):
        was, is_now = saved["fields"].get(name), now["fields"].get(name)
        if was is None or is_now is None:
            found.append(f"{_name(saved)}: {name} is {'no longer' if is_now is None else 'now'} written")
        elif was["before"] != is_now["before"]:
            found.append(f"{_name(saved)}: {name} held {was['before']!r}, now {is_now['before']!r}")
        elif was["after"] != is_now["after"]:
            found.append(f"{_name(saved)}: {name} was to become {was['after']!r}, now {is_now['after']!r}")
    return found
