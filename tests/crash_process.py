"""One sync in a process of its own, which may kill itself at a commit: no handler runs, nothing is flushed."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from sidefeed.project import Project


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Commits:
    """Counts commits, and dies before or right after one of them. ``counted`` is a file that keeps the number."""

    def __init__(self, at: int, after: bool, counted: Path | None) -> None:
        self.at, self.after, self.counted = at, after, counted
        self.number = 0
        sa.event.listen(Engine, "commit", self.commit)
        sa.event.listen(Engine, "begin", self.begin)
        sa.event.listen(Engine, "before_cursor_execute", self.begin)

    def commit(self, _connection: Any) -> None:
        self.number += 1
        if self.counted is not None:
            self.counted.write_text(str(self.number))
        if self.number == self.at and not self.after:
            die()

    def begin(self, *_: Any) -> None:
        if self.after and self.at and self.number >= self.at:
            die()


def sync(folder: str, at: int, after: bool, counted: str | None) -> None:
    """Run one sync of a project; ``at`` names the commit to die at (0: none)."""
    Commits(at, after, Path(counted) if counted else None)
    project = Project.load(folder)
    with project.engine() as engine:
        engine.sync(approve=True)
    project.close()
