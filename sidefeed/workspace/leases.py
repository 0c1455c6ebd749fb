"""Names that only one run may hold at a time."""

from __future__ import annotations

import os
from datetime import datetime, timedelta

import sqlalchemy as sa

from sidefeed.processes import ended, this_machine
from sidefeed.workspace import tables as t
from sidefeed.workspace.clock import utc_instant, utc_text
from sidefeed.workspace.model import LeaseHeld
from sidefeed.workspace.unit import Unit

HELD: set[tuple[str, str]] = set()
"""The leases that runs of this very process hold now, by name and owner. One that the workspace keeps for this process
and that is not here was left behind: the database was away when its run gave it back."""


class Leases(Unit):
    def take_lease(self, name: str, owner: str, seconds: int) -> datetime:
        """Take or extend a lease; returns when it ends. Raises LeaseHeld. The run that left one behind has died, and
        is told so from now on."""
        now = self.store.now()
        expires = now + timedelta(seconds=seconds)
        row = self.connection.execute(sa.select(t.lease).where(t.lease.c.name == name)).mappings().one_or_none()
        if row is not None and row["owner"] != owner and utc_instant(row["expires"]) > now and not _left(
                name, row["owner"]):
            raise LeaseHeld(
                f"another run ({row['owner']}) is at work on {name!r} until {row['expires']} at the latest. Wait for "
                f"it to end; if it died, its lease ends by itself at that time.")
        if row is not None and row["owner"] != owner:
            self.connection.execute(t.run.update().where(
                t.run.c.id == row["owner"].partition(" on ")[0], t.run.c.state == "running").values(state="died"))
        self.upsert(t.lease, [{"name": name, "owner": owner, "expires": utc_text(expires)}])
        return expires

    def lease_ends(self, name: str) -> datetime | None:
        ends = self.connection.execute(sa.select(t.lease.c.expires).where(t.lease.c.name == name)).scalar_one_or_none()
        return utc_instant(ends) if ends else None

    def drop_lease(self, name: str, owner: str) -> None:
        self.connection.execute(t.lease.delete().where(t.lease.c.name == name, t.lease.c.owner == owner))


def lease_owner(run: str) -> str:
    """Who holds a lease: the run, and the process it lives in, so that a dead one can be told on its own machine."""
    return f"{run} on {this_machine()} pid {os.getpid()}"


def _left(name: str, owner: str) -> bool:
    """Whether a lease was left behind: by a process of this machine that is no more, or by a run of this process."""
    _, _, where = owner.partition(" on ")
    host, _, pid = where.partition(" pid ")
    if (host, pid) == (this_machine(), str(os.getpid())):
        return (name, owner) not in HELD
    return ended(host, pid)
