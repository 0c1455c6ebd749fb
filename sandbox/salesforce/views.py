"""Who has seen which records: what FOR VIEW and FOR REFERENCE in a query mark.

Source: SOQL and SOSL Reference ("FOR VIEW", "FOR REFERENCE"). Reading a row marks nothing. LastViewedDate and
LastReferencedDate are kept with the row, as of whoever marked it last; what `Views` holds is each user's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from .store import Row, Store
from .values import stamp

KEPT = 200
"""Entries of one user (REST API guide, "Recently Viewed Items")."""
_STAMPED = {"view": ("LastViewedDate", "LastReferencedDate"), "reference": ("LastReferencedDate",)}


class Views:
    """Per user, the ids viewed or referenced, newest last, with the object of each."""

    def __init__(self) -> None:
        self.seen: dict[str, dict[str, str]] = {}

    def mark(self, store: Store, name: str, rows: list[Row], how: str, user: str, now: datetime) -> None:
        """Note that a user viewed or referenced rows of an object."""
        seen = self.seen.setdefault(user, {})
        for row in rows:
            key = row["Id"]
            seen.pop(key, None)
            seen[key] = name
            stamps = dict.fromkeys((one for one in _STAMPED[how] if one in row), stamp(now))
            store.put(name, {**store.table(name).rows[key], **stamps})
        for old in list(seen)[:-KEPT]:
            del seen[old]

    def newest(self, store: Store, user: str, name: str | None = None) -> Iterator[tuple[str, Row]]:
        """The live rows that a user has seen (of one object), newest first, each with its object."""
        for key, kind in reversed(self.seen.get(user, {}).items()):
            row = store.get(kind, key)
            if name in (None, kind) and row is not None and not row.get("IsDeleted"):
                yield kind, row

    def copy(self) -> Views:
        """An independent copy."""
        made = Views()
        made.seen = {user: dict(seen) for user, seen in self.seen.items()}
        return made
