"""What people decide, and what settings and mappings come into force: entries that are only ever added to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import Any

from sidefeed.processes import this_machine
from sidefeed.workspace import tables as t
from sidefeed.workspace.clock import utc_text
from sidefeed.workspace.unit import Unit

OPS = "ops"
"""Who acts, where nobody says who it is."""

BY_PAGE = "page"
"""How somebody acted who is signed in to the pages."""


class Journal(Unit):
    def note(
        self, what: str, *, actor: str | None = None, via: str | None = None, system: str | None = None,
        object: str | None = None, record: str | None = None, run: str | None = None, **detail: Any,
    ) -> None:
        """Add an entry: who (whoever this workspace was opened for, if not said) did what, and where from (this
        account and machine, if not said). ``detail`` is plain data without secrets."""
        self.connection.execute(t.journal.insert(), {
            "at": utc_text(self.store.now()), "actor": actor or self.store.actor, "via": via or account(), "what": what,
            "system": system, "object": object, "record": record, "run": run or self.store.run,
            "detail": _plain(detail)})


def _plain(detail: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in detail.items() if value is not None}


@cache
def account() -> str:
    """The account that this process runs under, and its machine. A container may know no name for its user."""
    import getpass  # and with it what asks for passwords, which no run does

    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = f"user {os.getuid()}"
    return f"{user} on {this_machine()}"
