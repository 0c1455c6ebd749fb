"""Making a decision a rule: a policy written into the mapping file, everything else in the file as it was.

The value is placed by ruamel's round trip, which keeps comments, order and quoting; a golden test beside the mapping
files then holds the rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from .golden import FOLDER

POLICIES = "policies.yaml"


class NotWritten(Exception):
    """The rule cannot be put into the files; the message says why."""


def always(folder: Path, entity: str, field: str, system: str) -> Path:
    """Let a system's value win wherever people disagree about a field: ``policy: {prefer: <system>}``. Returns the file
    that was changed. Raises NotWritten where no mapping file declares the field itself."""
    for path in sorted(folder.glob("**/*.yaml")):
        yaml, document = _load(path)
        declared = _fields(document, entity)
        if declared is None or field not in declared:
            continue
        spec = declared[field]
        if isinstance(spec, str):
            spec = _long(spec)
            declared[field] = spec
        spec["policy"] = _flow(prefer=system)
        _store(yaml, document, path)
        return path
    raise NotWritten(f"no mapping file in {folder} declares {entity}.{field}, so its policy cannot be set there.")


def golden(folder: Path, entity: str, field: str, system: str, sides: Mapping[str, Any]) -> Path:
    """Add a golden test of the rule, made of the conflict that led to it: each source's value and the one that wins."""
    path = folder / FOLDER / POLICIES
    path.parent.mkdir(exist_ok=True)
    if not path.exists():
        path.write_text("# yaml-language-server: $schema=../schema.json\n# Decisions that people made into rules.\n"
                        "tests:\n", encoding="utf-8")
    yaml, document = _load(path)
    tests = document.get("tests") or []
    name = f"{system} wins {entity}.{field}"
    case = CommentedMap({"name": name, "entity": entity, "workspace": _flow(**{field: sides[system]}),
                         "conflict": _flow(**sides)})
    document["tests"] = [one for one in tests if one.get("name") != name] + [case]
    _store(yaml, document, path)
    return path


def _load(path: Path) -> tuple[YAML, Any]:
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 10_000
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml, yaml.load(path.read_text(encoding="utf-8"))


def _store(yaml: YAML, document: Any, path: Path) -> None:
    text = StringIO()
    yaml.dump(document, text)
    path.write_text(text.getvalue(), encoding="utf-8")


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
