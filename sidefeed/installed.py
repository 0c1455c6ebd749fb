"""What the installed packages bring: connectors and lenses, by their entry points."""

from __future__ import annotations

from functools import cache
from importlib import metadata
from typing import Any


@cache
def everything() -> Any:  # SelectableGroups in Python 3.11, EntryPoints since; both have ``select``
    """Read once: it opens a file of every installed package, a twentieth of a quiet run each time."""
    return metadata.entry_points()


def entry_points(group: str) -> metadata.EntryPoints:
    """The entry points of one group, as they were when this process first asked."""
    found: metadata.EntryPoints = everything().select(group=group)
    return found
