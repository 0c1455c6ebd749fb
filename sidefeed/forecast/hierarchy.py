"""Who belongs to whom, on any day.

A node is a team, by its name, or a person, by the id of the user in the workspace. A membership says that a person or a
team belongs to a team from one day to another (both included). Nobody belongs to two teams on one day, so that no deal
is counted twice; no team belongs to itself through others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import sqlalchemy as sa

from sidefeed.forecast.entries import EntryError, day, holds, known, overlap, replace
from sidefeed.forecast.history import states
from sidefeed.forecast.scope import ScopeError
from sidefeed.workspace import Transaction
from sidefeed.workspace import tables as t

if TYPE_CHECKING:
    from sidefeed.project import PersonSettings

EVERYONE = "everyone"
"""The root: every owner, also those in no team, and deals without an owner."""

NOBODY = "nobody"
"""The node of deals without an owner."""

COLUMNS = ("team", "member", "kind", "role", "from", "to")
"""The columns of a CSV file of memberships; all but the first two may be missing."""


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """The tree of one day. ``parent``: node -> the team it belongs to; ``leads``: team -> the people who lead it."""

    parent: Mapping[str, str] = field(default_factory=dict)
    people: frozenset[str] = frozenset()
    leads: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def teams(self) -> list[str]:
        return sorted({*self.parent.values(), *(node for node in self.parent if node not in self.people)})

    def children(self, node: str) -> list[str]:
        """What belongs to a node directly, teams before people; for the root the teams that belong to no other."""
        if node == EVERYONE:
            return [team for team in self.teams if team not in self.parent]
        return sorted((child for child, parent in self.parent.items() if parent == node),
                      key=lambda child: (child in self.people, child))

    def path(self, node: str) -> Iterator[str]:
        """The node, the teams above it, and the root."""
        while node in self.parent:
            yield node
            node = self.parent[node]
        if node != EVERYONE:
            yield node
        yield EVERYONE

    def owners(self, node: str) -> frozenset[str] | None:
        """Everybody whose deals count to a node; None for the root, which is everybody there is."""
        if node == EVERYONE:
            return None
        if node == NOBODY:
            return frozenset(("",))
        if node not in self.teams:
            return frozenset({node})
        return frozenset(person for person in self.people if node in self.path(person))

    def within(self, owners: frozenset[str]) -> Hierarchy:
        """What of the tree belongs to these people: they, and the teams above them."""
        kept = {node for person in self.people & owners for node in self.path(person)}
        return Hierarchy({child: parent for child, parent in self.parent.items() if child in kept},
                         self.people & owners, self.leads)


class Led(Protocol):
    """Somebody of ``[people]``: the name, and the address of the manager, or nothing."""

    @property
    def name(self) -> str: ...

    @property
    def manager(self) -> str: ...


class Person(NamedTuple):
    """A `Led`."""

    name: str
    manager: str


def led(settings: Mapping[str, PersonSettings]) -> dict[str, Person]:
    """Address -> person, of ``[people]``. Raises EntryError for a manager who is not listed, and for a circle."""
    told = {email.strip().lower(): one for email, one in settings.items()}
    found = {email: Person(one.name or email.partition("@")[0].replace(".", " ").title(), one.manager.strip().lower())
             for email, one in told.items()}
    for email in found:
        above = [email]
        while (manager := found[above[-1]].manager):
            if manager not in found:
                raise EntryError(f"[people.{above[-1]!r}]: manager {manager!r} is not listed in [people]; add a table "
                                 f"for that person, or mend the address.")
            if manager in above:
                raise EntryError(f"[people.{email!r}]: the managers form a circle ({' -> '.join([*above, manager])}). "
                                 f"Somebody in it must have no manager, or another one.")
            above.append(manager)
    return found


def hierarchy(
    tx: Transaction, on: date, moment: datetime | None = None, *, led: Mapping[str, Led] | None = None
) -> Hierarchy:
    """The tree of a day, as it was known at a moment (None: as it is known now).

    Where no team was ever entered, each manager of ``led`` (`led`: address -> person) leads a team of those below. That
    has no dates: it shows every day by the managers of now.
    """
    entered = [row for row in known(tx, t.membership, moment) if holds(row, on)]
    if entered or not led or tx.connection.execute(sa.select(t.membership.c.id).limit(1)).first() is not None:
        return build(entered)
    ids: dict[str, list[str]] = {}
    for state in states(tx, "user", moment):
        ids.setdefault(str(state.values.get("email") or "").casefold(), []).append(state.id)
    return build(_led(led, ids))


def _led(led: Mapping[str, Led], ids: Mapping[str, Sequence[str]]) -> Iterator[dict[str, str]]:
    leads = {person.manager for person in led.values() if person.manager}
    for email, person in led.items():
        team = _team(person) if email in leads else ""
        above = _team(led[person.manager]) if person.manager in led else ""
        if team and above:
            yield {"node": above, "member": team, "kind": "team", "role": "member"}
        if team or above:
            for id in ids.get(email, ()):
                yield {"node": team or above, "member": id, "kind": "person", "role": "lead" if team else "member"}


def _team(person: Led) -> str:
    return f"{person.name}'s team"


def build(rows: Iterable[Mapping[str, Any]]) -> Hierarchy:
    """A tree from memberships that hold on one day."""
    parent: dict[str, str] = {}
    people: set[str] = set()
    leads: dict[str, tuple[str, ...]] = {}
    for row in rows:
        parent[row["member"]] = row["node"]
        if row["kind"] == "person":
            people.add(row["member"])
            if row["role"] == "lead":
                leads[row["node"]] = (*leads.get(row["node"], ()), row["member"])
    return Hierarchy(parent, frozenset(people), leads)


def turns(tx: Transaction, start: date, end: date, moment: datetime | None = None) -> list[date]:
    """The days after the first and up to the last from which another tree holds."""
    from datetime import timedelta

    days = set()
    for row in known(tx, t.membership, moment):
        if row["valid_from"]:
            days.add(date.fromisoformat(row["valid_from"]))
        if row["valid_to"]:
            days.add(date.fromisoformat(row["valid_to"]) + timedelta(days=1))
    return sorted(one for one in days if start < one <= end)


def import_memberships(tx: Transaction, rows: Sequence[Mapping[str, str]], actor: str) -> tuple[int, int]:
    """Make these the teams from now on: the whole file, which replaces what was there. Gives (added, closed).

    Raises EntryError, and stores nothing, for a person nobody knows, somebody in two teams on one day, or a cycle.
    """
    people = People(tx)
    entries = [_entry(row, number, people) for number, row in enumerate(rows, 2)]
    check(entries, people)
    return replace(tx, t.membership, entries, actor)


def _entry(row: Mapping[str, str], number: int, people: People) -> dict[str, Any]:
    told = {name: (row.get(name) or "").strip() for name in COLUMNS}
    missing = [name for name in ("team", "member") if not told[name]]
    if missing:
        raise EntryError(f"line {number}: {' and '.join(missing)} is blank. Columns: {', '.join(COLUMNS)}.")
    kind = told["kind"] or ("person" if people.find(told["member"]) else "team")
    role = told["role"] or "member"
    if kind not in ("person", "team") or role not in ("member", "lead"):
        raise EntryError(f"line {number}: kind is person or team, role is member or lead; not {kind!r}, {role!r}.")
    if EVERYONE in (told["team"], told["member"]):
        raise EntryError(f"line {number}: {EVERYONE!r} is the root and cannot be a team; every team belongs to it.")
    member = told["member"]
    if kind == "person":
        found = people.find(member)
        if found is None:
            raise EntryError(f"line {number}: nobody in the workspace is called {member!r}. Use the e-mail address, "
                             f"the name or the id of a user, or say kind=team.")
        member = found
    entry = {"node": told["team"], "member": member, "kind": kind, "role": role,
             "valid_from": day(told["from"], f"line {number}, from"), "valid_to": day(told["to"], f"line {number}, to")}
    if entry["valid_from"] and entry["valid_to"] and entry["valid_from"] > entry["valid_to"]:
        raise EntryError(f"line {number}: {told['member']} ends ({told['to']}) before it starts ({told['from']}).")
    return entry


def check(entries: Sequence[Mapping[str, Any]], people: People | None = None) -> None:
    """Raise EntryError for somebody in two teams on one day, or a team that belongs to itself."""
    by_member: dict[str, list[Mapping[str, Any]]] = {}
    for entry in entries:
        for other in by_member.setdefault(entry["member"], []):
            if overlap(entry, other):
                raise EntryError(
                    f"{people.name(entry['member']) if people else entry['member']} belongs to {other['node']} and to "
                    f"{entry['node']} at once, and would be counted twice. End one with a date before the other.")
        by_member[entry["member"]].append(entry)
    for first in {entry["valid_from"] or "0001-01-01" for entry in entries}:
        on = date.fromisoformat(first)
        parent = {entry["member"]: entry["node"] for entry in entries if holds(entry, on)}
        for node in parent:
            _refuse_cycle(node, parent, on)


def _refuse_cycle(node: str, parent: Mapping[str, str], on: date) -> None:
    seen = [node]
    while (above := parent.get(seen[-1])) is not None:
        if above in seen:
            ring = [*seen[seen.index(above):], above]
            raise EntryError(f"from {on} {' belongs to '.join(ring)}: that is a circle. Take one of these out.")
        seen.append(above)


class People:
    """The users of the workspace, found by id, e-mail address or name."""

    def __init__(self, tx: Transaction, moment: datetime | None = None) -> None:
        self._names: dict[str, str] = {}
        self._found: dict[str, set[str]] = {}
        for state in states(tx, "user", moment):
            values = state.values
            self._names[state.id] = str(values.get("name") or values.get("email") or state.id)
            for key in (state.id, values.get("email"), values.get("name")):
                if key:
                    self._found.setdefault(str(key).casefold(), set()).add(state.id)

    def find(self, text: str) -> str | None:
        """The id of the one user who is called so; None where none or several are."""
        found = self._found.get(text.strip().casefold(), set())
        return next(iter(found)) if len(found) == 1 else None

    def name(self, id: str) -> str:
        return self._names.get(id, id)


def resolve(node: str, tree: Hierarchy, people: People) -> str:
    """The node that a person at the keyboard means. Raises ScopeError with the teams there are."""
    text = node.strip()
    if text.casefold() in ("", EVERYONE):
        return EVERYONE
    team = next((one for one in tree.teams if one.casefold() == text.casefold()), None)
    found = team or people.find(text)
    if found is None:
        raise ScopeError(f"no team and no single person is called {node!r}. Teams: {', '.join(tree.teams) or 'none'}; "
                         f"people by e-mail address, name or id. `sidefeed forecast team` shows the tree.")
    return found
