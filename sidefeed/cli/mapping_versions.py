"""Mapping files as they were: in another folder, or at a git revision; and how many records a change concerns."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping as Map
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sidefeed.mapping import Mapping, load
from sidefeed.mapping.compare import Change
from sidefeed.project import Project


class NoVersion(Exception):
    """There are no mapping files at this place or revision; the message says what was looked for."""


def mapping_at(place: str, folder: Path, values: Map[str, Any]) -> Mapping:
    """The mapping in a folder, or the one that ``folder`` held at a git revision, with the project's values. Raises
    NoVersion, MappingErrors."""
    if Path(place).is_dir():
        return load(place, values)
    with tempfile.TemporaryDirectory(prefix="sidefeed-") as scratch:
        target = Path(scratch) / folder.name
        target.mkdir()
        names = [name for name in _git(folder, place, "ls-tree", "-r", "--name-only", place, "./").splitlines()
                 if name.endswith(".yaml")]
        if not names:
            raise NoVersion(f"{folder} held no mapping files at {place}.")
        for name in names:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (target / name).write_text(_git(folder, place, "show", f"{place}:./{name}"), encoding="utf-8")
        return load(target, values)


def _git(folder: Path, place: str, *arguments: str) -> str:
    if place.startswith("-"):
        raise NoVersion(f"{place!r} is neither a folder nor a git revision.")
    try:
        done = subprocess.run(  # noqa: S603  arguments are passed as they are, without a shell
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)  # noqa: S607
    except OSError:
        raise NoVersion(f"{place!r} is no folder, and git is not installed to look for a revision.") from None
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["git failed"])[-1].removeprefix("fatal: ")
        raise NoVersion(f"{place!r} is neither a folder nor a git revision of {folder}: {said}. Keep the files under "
                        f"git (`git init`, then commit), or name a folder with the files as they were.")
    return done.stdout


def counted(changes: Sequence[Change], project: Project) -> list[tuple[Change, int | None]]:
    """Each change with the number of records it concerns; None where there is no workspace to count in."""
    from sidefeed.sync.concerned import concerned

    if not changes or not project.has_workspace:
        return [(each, None) for each in changes]
    store = project.store()
    try:
        with store.read() as tx:
            return [(each, len(concerned(tx, each))) for each in changes]
    finally:
        store.close()


def translated(old: Mapping, new: Mapping, project: Project) -> list[dict[str, Any]]:
    """What a sync would do to linked records because of fields mapped otherwise; nothing without a workspace."""
    from sidefeed.sync.retranslate import expected

    if not project.has_workspace:
        return []
    store = project.store()
    try:
        with store.read() as tx:
            return [{"system": om.system, "object": om.object, "field": name,
                     **{what: found[what] for what in ("written", "read", "disputed", "left")}}
                    for om, name, found in expected(tx, old, new)]
    finally:
        store.close()
