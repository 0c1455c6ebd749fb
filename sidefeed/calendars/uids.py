"""A UID that several meetings of one calendar have.

Nothing is lost by it: each has its own id there, and becomes a meeting of its own here. But by its UID alone a copy in
somebody else's calendar cannot be told from the copy of another, so it is told, and whoever organises them can mend it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import groupby

import sqlalchemy as sa

from sidefeed.calendars.busy import NEVER
from sidefeed.workspace import Transaction
from sidefeed.workspace import tables as t


@dataclass(frozen=True, slots=True)
class Shared:
    """Meetings of one calendar with one UID, by when they begin; of a series as a whole by nothing. No word of any."""

    system: str
    object: str
    mailbox: str
    starts: tuple[str, ...]
    ids: tuple[str, ...]

    @property
    def of_series(self) -> bool:
        return NEVER in self.starts

    def __str__(self) -> str:
        number = len(self.ids)
        these = f"{number} series" if self.of_series else f"{number} meetings ({', '.join(self.starts)})"
        return (f"{these} in the calendar of {self.mailbox} have one UID; their subjects are withheld. Each is filed "
                "for itself, and everything else goes on, but which of them a copy in another calendar is nobody can "
                "tell, so it is asked about. Let whoever organises them make one of them anew.")


def shared(tx: Transaction, system: str = "", object: str = "", keys: Collection[str] | None = None) -> list[Shared]:
    """What shares a UID: in one calendar among the meetings with these keys, or in all calendars.

    Occurrences of two series that share one are not told besides the series.
    """
    if keys is not None and not keys:
        return []
    same = [t.busy.c.system, t.busy.c.object, t.busy.c.key]
    where = [t.busy.c.key.is_not(None)] if keys is None else [
        t.busy.c.system == system, t.busy.c.object == object, t.busy.c.key.in_(sorted(keys))]
    several = sa.select(*same).where(*where).group_by(*same).having(sa.func.count() > 1).subquery()
    rows = tx.connection.execute(sa.select(t.busy).join(several, sa.and_(
        t.busy.c.system == several.c.system, t.busy.c.object == several.c.object, t.busy.c.key == several.c.key,
    )).order_by(t.busy.c.system, t.busy.c.object, t.busy.c.key, t.busy.c.start, t.busy.c.external_id)).mappings()
    found = []
    for _name, group in groupby(rows, key=lambda row: (row["system"], row["object"], row["key"])):
        members = list(group)
        found.append(Shared(members[0]["system"], members[0]["object"], members[0]["mailbox"],
                            tuple(str(one["start"]) for one in members),
                            tuple(str(one["external_id"]) for one in members)))
    series = [one for one in found if one.of_series]
    return [one for one in found if one.of_series or not any(_occurs_in(one, other) for other in series)]


def _occurs_in(one: Shared, series: Shared) -> bool:
    """Whether these are occurrences of series that share a UID: the ids of occurrences begin with that of theirs."""
    return (one.system, one.object) == (series.system, series.object) and all(
        any(id.startswith(owner) for owner in series.ids) for id in one.ids)
