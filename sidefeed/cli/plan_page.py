"""A plan as one page that opens in any browser: no script, nothing loaded from anywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from html import escape
from itertools import groupby
from typing import Any

from sidefeed.plural import many
from sidefeed.sync import SavedPlan

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color: #1b1f24 }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem } p.note { color: #57606a }
table { border-collapse: collapse; width: 100% } th { text-align: left; font-weight: 600 }
th, td { border-bottom: 1px solid #d8dee4; padding: .35rem .6rem; vertical-align: top; overflow-wrap: anywhere }
tbody tr.first > * { border-top: 2px solid #8c959f } .create { color: #116329 } .update { color: #7d4e00 }
.delete { color: #a40e26 } .before { color: #a40e26 } .after { color: #116329 }
.stop { color: #a40e26; font-weight: 600 }
@media (prefers-color-scheme: dark) { body { background: #15191e; color: #dfe5ec } p.note { color: #9aa6b2 }
 .create, .after { color: #6fdd8b } .delete, .before, .stop { color: #ff8e8e } .update { color: #f0c36a }
 th, td { border-color: #333c46 } }
"""


def page(
    plan: SavedPlan, *, heading: str = "Plan", note: str = "Nothing has been written.",
    lists: Mapping[str, Iterable[str]] | None = None,
) -> str:
    """The whole page; every text from outside is escaped, and the browser is told to run and load nothing. ``lists``
    stand above the writes, under their titles."""
    numbers = Counter(row["op"] for row in plan.writes)
    feeds = groupby(plan.writes, key=lambda row: (row["system"], row["object"]))
    return "\n".join([
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Sidefeed {heading.lower()}</title>',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>',
        f"<h1>{escape(heading)} for {escape(', '.join(plan.systems))}</h1>",
        f"<p>{numbers['create']} to create, {numbers['update']} to update, {numbers['delete']} to delete; "
        f"{many(len(plan.waiting), 'waits', 'wait')}. {_calls(plan.calls)} {many(plan.mails, 'message')} would be sent "
        f"to people.</p>",
        f'<p class="note">Made {escape(plan.made[:16].replace("T", " "))} UTC. {escape(note)}</p>',
        *(line for title, lines in (lists or {}).items() for line in _listed(title, lines)),
        *_listed("Stopped by a guard", plan.parked, "stop"),
        *_listed("Could not be read", (f"{name}: {why}" for name, why in plan.failed.items()), "stop"),
        *(_feed(*feed, list(rows)) for feed, rows in feeds),
        *(_feed(*feed, list(rows), ", once what they belong to is there") for feed, rows in groupby(
            plan.later, key=lambda row: (row["system"], row["object"]))),
        *_listed("Waiting", (f"{name}: {why}" for name, why in plan.waiting.items())),
        *_listed("For a person", plan.problems),
        "</html>\n"])


def _calls(calls: Mapping[str, int]) -> str:
    told = ", ".join(f"{escape(name)} {number}" for name, number in calls.items())
    return f"Calls needed: {told}." if told else "No calls needed."


def _listed(title: str, lines: Iterable[str], kind: str = "") -> list[str]:
    items = "".join(f'<li class="{kind}">{escape(line)}</li>' for line in lines)
    return [f"<h2>{title}</h2><ul>{items}</ul>"] if items else []


def _feed(system: str, object: str, rows: list[dict[str, Any]], when: str = "") -> str:
    return (f"<h2>{escape(system)} {escape(object)}: {len(rows)}{when}</h2><table><thead><tr><th>what<th>record"
            f"<th>field<th>before<th>after<th>why</thead><tbody>{''.join(_write(row) for row in rows)}</tbody></table>")


def _write(row: dict[str, Any]) -> str:
    fields = list(row["fields"].items()) or [("", {"before": None, "after": None})]
    lines = []
    for number, (name, told) in enumerate(fields):
        head = (f'<td rowspan="{len(fields)}" class="{row["op"]}">{row["op"]}'
                f'<td rowspan="{len(fields)}">{escape(row["label"])}' if number == 0 else "")
        why = f'<td rowspan="{len(fields)}">{escape(row["reason"])}' if number == 0 else ""
        before = _value(told["before"]) if row["op"] == "update" else ""
        lines.append(f'<tr{" class=first" if number == 0 else ""}>{head}<td>{escape(name)}'
                     f'<td class="before">{before}<td class="after">{_value(told["after"]) if name else ""}{why}')
    return "".join(lines)


def _value(value: Any) -> str:
    return "<i>blank</i>" if value is None else escape(str(value))
