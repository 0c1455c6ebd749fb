"""What is known of each system as a whole, and of this workspace."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from sidefeed.workspace import tables as t
from sidefeed.workspace.clock import utc_text
from sidefeed.workspace.database import dialect_module
from sidefeed.workspace.unit import Unit

_CALLS = sa.select(t.usage.c.calls).where(
    t.usage.c.system == sa.bindparam("system"), t.usage.c.day == sa.bindparam("day"))
_SETTING = sa.select(t.setting.c.value).where(t.setting.c.name == sa.bindparam("name"))


class Systems(Unit):
    def count_calls(self, system: str, calls: int) -> None:
        """Add to the calls that this workspace sent to a system today (UTC)."""
        if calls:
            day = utc_text(self.store.now())[:10]
            insert: Any = dialect_module(self.connection).insert(t.usage)
            self.connection.execute(insert.values(system=system, day=day, calls=calls).on_conflict_do_update(
                index_elements=["system", "day"], set_={"calls": t.usage.c.calls + calls}))

    def calls_today(self, system: str) -> int:
        """Calls that this workspace sent to a system today (UTC)."""
        day = utc_text(self.store.now())[:10]
        return self.connection.execute(_CALLS, {"system": system, "day": day}).scalar_one_or_none() or 0

    def marker(self, system: str) -> str | None:
        return self.connection.execute(
            sa.select(t.system.c.marker).where(t.system.c.name == system)).scalar_one_or_none()

    def save_marker(self, system: str, marker: str) -> None:
        self.upsert(t.system, [{"name": system, "marker": marker, "endpoint": None,
                                "seen_at": utc_text(self.store.now())}])

    def setting(self, name: str) -> str | None:
        return self.connection.execute(_SETTING, {"name": name}).scalar_one_or_none()

    def settings(self, prefix: str) -> dict[str, str]:
        """The settings whose name begins so, by the rest of the name."""
        c = t.setting.c
        return {name.removeprefix(prefix): value for name, value in self.connection.execute(
            sa.select(c.name, c.value).where(c.name.startswith(prefix, autoescape=True))).all()}

    def drop_setting(self, name: str) -> None:
        self.connection.execute(t.setting.delete().where(t.setting.c.name == name))

    def save_setting(self, name: str, value: str) -> None:
        self.upsert(t.setting, [{"name": name, "value": value}])
