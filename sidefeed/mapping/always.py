"""Making a decision a rule: a policy written into the mapping file, everything else in the file as it was.

The value is placed by ruamel's round trip, which keeps comments, order and quoting; a golden test beside the mapping
files then holds the rule. What would be written can be looked at first: nothing is touched before `write`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from .golden import FOLDER

POLICIES = "policies.yaml"
_FIRST = "# yaml-language-server: $schema=../schema.json\n# Decisions that people made into rules.\ntests:\n"


class NotWritten(Exception):
    """The rule cannot be put into the files; the message says why."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A file as it is (``before`` is None where there is none yet) and as it is to be."""

    path: Path
    before: str | None
    after: str

    def lines(self) -> Iterator[tuple[int, str, str]]:
        """(number, ``-`` or ``+``, text) of every line that goes, with the number it has, or comes, with the number it
        will have."""
        old, new = (self.before or "").splitlines(), self.after.splitlines()
        for tag, old_from, old_to, new_from, new_to in difflib.SequenceMatcher(None, old, new, False).get_opcodes():
            if tag != "equal":
                yield from ((number + 1, "-", old[number]) for number in range(old_from, old_to))
                yield from ((number + 1, "+", new[number]) for number in range(new_from, new_to))


def rule(folder: Path, entity: str, field: str, system: str) -> Edit:
    """What lets a system's value win wherever people disagree about a field: ``policy: {prefer: <system>}``, in the
    file that declares the field. Raises NotWritten where no mapping file does."""
    for path in sorted(folder.glob("**/*.yaml")):
        yaml, document, before = _load(path)
        declared = _fields(document, entity)
        if declared is None or field not in declared:
            continue
        spec = declared[field]
        if isinstance(spec, str):
            spec = _long(spec)
            declared[field] = spec
        spec["policy"] = _flow(prefer=system)
        return Edit(path, before, _text(yaml, document))
    raise NotWritten(f"no mapping file in {folder} declares {entity}.{field}, so its policy cannot be set there.")


def golden(folder: Path, entity: str, field: str, system: str, sides: Mapping[str, Any]) -> Edit:
    """A golden test of the rule, made of the conflict that led to it: each source's value and the one that wins."""
    path = folder / FOLDER / POLICIES
    yaml, document, before = _load(path)
    tests = document.get("tests") or []
    name = f"{system} wins {entity}.{field}"
    case = CommentedMap({"name": name, "entity": entity, "workspace": _flow(**{field: sides[system]}),
                         "conflict": _flow(**sides)})
    document["tests"] = [one for one in tests if one.get("name") != name] + [case]
    return Edit(path, before, _text(yaml, document))


def write(edits: Sequence[Edit]) -> None:
    """Write them all. Raises NotWritten, and changes none, where one cannot be written or is not what it was."""
    done: list[Edit] = []
    try:
        for edit in edits:
            if (edit.path.read_text(encoding="utf-8") if edit.path.exists() else None) != edit.before:
                raise NotWritten(f"{edit.path} was changed meanwhile; look at the rule again.")
            edit.path.parent.mkdir(exist_ok=True)
            done.append(edit)
            edit.path.write_text(edit.after, encoding="utf-8")
    except (OSError, NotWritten) as error:
        take_back(done)
        if isinstance(error, NotWritten):
            raise
        raise NotWritten(f"{error.filename or edit.path} cannot be written: {error.strerror}.") from None


def take_back(edits: Sequence[Edit]) -> None:
    """Make files what they were before `write`, as far as that can be done."""
    for edit in edits:
        try:
            if edit.before is None:
                edit.path.unlink(missing_ok=True)
            elif edit.path.read_text(encoding="utf-8") != edit.before:
                edit.path.write_text(edit.before, encoding="utf-8")
        except OSError:
            continue


def _load(path: Path) -> tuple[YAML, Any, str | None]:
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 10_000
    yaml.indent(mapping=2, sequence=4, offset=2)
    before = path.read_text(encoding="utf-8") if path.exists() else None
    return yaml, yaml.load(_FIRST if before is None else before), before


def _text(yaml: YAML, document: Any) -> str:
    text = StringIO()
    yaml.dump(document, text)
    return text.getvalue()


def _fields(document: Any, entity: str) -> Any:
    found = document
    for key in ("entities", entity, "fields"):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _long(short: str) -> CommentedMap:
    """The long form of ``text``, ``ref user`` and ``related opportunity account``."""
    kind, *entities = short.split()
    told: dict[str, Any] = {"type": kind}
    if entities:
        told["to"] = entities if kind == "related" else entities[0]
    return _flow(**told)


def _flow(**values: Any) -> CommentedMap:
    found = CommentedMap(values)
    found.fa.set_flow_style()
    return found
