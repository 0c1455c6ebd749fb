"""A unit of work: what the workspace knows, room by room, over one connection."""

from __future__ import annotations

from sidefeed.workspace.inbox import Inbox
from sidefeed.workspace.journal import Journal
from sidefeed.workspace.leases import Leases
from sidefeed.workspace.log import Log
from sidefeed.workspace.refusals import Refusals
from sidefeed.workspace.runs import Runs
from sidefeed.workspace.systems import Systems


class Transaction(Log, Refusals, Inbox, Runs, Systems, Leases, Journal):
    """A unit of work over one connection; see `Store.write` and `Store.read`."""

    def flush(self) -> None:
        self._flush_records()
        self._flush_links()
