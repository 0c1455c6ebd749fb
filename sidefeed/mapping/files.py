"""The mapping files as they are written: YAML with the place of every key, the pydantic models, and the errors.

An error names file, line and column, what was expected, and the nearest valid name. All errors of all files are
reported at once.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from .lenses import WriterOptions

Path_ = tuple[str | int, ...]

TYPES = (
    "text", "number", "money", "date", "datetime", "boolean", "choice", "email", "phone", "url", "ref", "refs",
    "related", "set", "when", "attendees",
)  # fmt: skip


@dataclass(frozen=True, slots=True, order=True)
class MappingError:
    """One mistake in one mapping file. Lines and columns count from 1, as editors do."""

    file: str
    line: int
    column: int
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.message}{f' {self.hint}' if self.hint else ''}"


class MappingErrors(Exception):
    """The mapping folder cannot be used; ``errors`` holds every reason."""

    def __init__(self, errors: Iterable[MappingError]) -> None:
        self.errors = tuple(sorted(set(errors)))
        super().__init__("\n".join(map(str, self.errors)))


def nearest(word: str, known: Iterable[str]) -> str:
    """``Did you mean 'money'?``, or the valid names where none is near and they are few."""
    names = sorted({str(each) for each in known})
    by_folded = {each.lower().replace("_", ""): each for each in reversed(names)}
    close = difflib.get_close_matches(word.lower().replace("_", ""), by_folded, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {by_folded[close[0]]!r}?"
    return f"Expected one of: {', '.join(names)}." if 0 < len(names) <= 16 else ""


@dataclass
class Document:
    """One YAML file: its plain data, and where each key and each value stands."""

    file: str
    data: Any = None
    keys: dict[Path_, tuple[int, int]] = field(default_factory=dict)
    values: dict[Path_, tuple[int, int]] = field(default_factory=dict)
    errors: list[MappingError] = field(default_factory=list)

    def place(self, path: Path_, *, key: bool = False) -> tuple[int, int]:
        """Line and column of what stands at ``path``, or of the nearest enclosing thing that is written."""
        for cut in range(len(path), -1, -1):
            here = path[:cut]
            found = self.keys.get(here) if key and cut == len(path) else self.values.get(here)
            if found:
                return found
        return (1, 1)

    def report(self, path: Path_, message: str, hint: str = "", *, key: bool = False) -> None:
        line, column = self.place(path, key=key)
        self.errors.append(MappingError(self.file, line, column, message, hint))


def read_yaml(path: Path, name: str) -> Document:
    """Parse one file. Syntax errors and repeated keys are in ``errors``; dates and decimals stay text."""
    document = Document(name)
    try:
        root = YAML(typ="safe").compose(path.read_text(encoding="utf-8"))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        document.errors.append(MappingError(name, line, column, f"this is not YAML: {error.problem or error.context}."))
    except (OSError, UnicodeDecodeError) as error:
        document.errors.append(MappingError(name, 0, 0, f"the file cannot be read: {error}."))
    else:
        document.data = _build(document, root, ()) if root is not None else {}
    return document


def _build(document: Document, node: Node, path: Path_) -> Any:
    document.values.setdefault(path, (node.start_mark.line + 1, node.start_mark.column + 1))
    if isinstance(node, MappingNode):
        return _build_mapping(document, node, path)
    if isinstance(node, SequenceNode):
        return [_build(document, each, (*path, index)) for index, each in enumerate(node.value)]
    assert isinstance(node, ScalarNode)
    return _scalar(node)


def _build_mapping(document: Document, node: MappingNode, path: Path_) -> dict[str, Any]:
    built: dict[str, Any] = {}
    merged: dict[str, Any] = {}
    for key, value in node.value:
        if key.tag.endswith(":merge"):
            for each in value.value if isinstance(value, SequenceNode) else [value]:
                merged = {**_build(document, each, path), **merged}
            continue
        name = str(key.value)
        here = (*path, name)
        place = (key.start_mark.line + 1, key.start_mark.column + 1)
        if name in built:
            first = document.keys[here][0]
            document.errors.append(
                MappingError(document.file, *place, f"{name!r} is written twice; the first is on line {first}.")
            )
        document.keys[here] = place
        document.values.pop(here, None)
        built[name] = _build(document, value, here)
    return {**merged, **built}


def _scalar(node: ScalarNode) -> Any:
    kind = str(node.tag).rpartition(":")[2]
    if kind == "null":
        return None
    if kind == "bool":
        return str(node.value).lower() == "true"
    if kind == "int":
        try:
            return int(node.value)
        except ValueError:
            return node.value
    return node.value


# --- what may be written ---------------------------------------------------------------------------------------------


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PreferRule(Strict):
    prefer: str = Field(description="The system of record: its value wins where two people disagree.")


class FieldFile(Strict):
    """One field of an entity. Short forms: `name: text`, `owner: ref user`, `about: related opportunity account`."""

    type: Literal[
        "text", "number", "money", "date", "datetime", "boolean", "choice", "email", "phone", "url", "ref", "refs",
        "related", "set", "when", "attendees",
    ] = Field(description="What kind of value the field holds.")  # fmt: skip
    to: str | list[str] | None = Field(
        None, description="For `ref`, `refs` and `related`: the entity (entities) referred to."
    )
    choices: list[str] | dict[str, str] | None = Field(
        None, description="For `choice`: the values, in order; as a mapping, each with the label that people see."
    )
    policy: Literal["latest", "fill", "append", "ask", "never-blank"] | PreferRule = Field(
        "latest",
        description="Who wins when two people really disagree. `latest`: the newest edit. `ask`: a person decides. "
        "`fill`: only blanks are filled. `append`: both are kept. `never-blank`: latest, and no blank replaces a "
        "value. `{prefer: <system>}`: that system. Default: latest.",
    )
    never_blank: bool = Field(False, description="A blank never replaces a value.")
    lines: Literal["one", "many"] = Field("one", description="For `text`: whether line breaks are kept. Default: one.")
    label: str = Field("", description="What people see. Default: the name in words.")
    description: str = Field("", description="What the field means.")


class EntityFile(Strict):
    """One kind of record in the workspace."""

    label: str = Field("", description="What people see. Default: the name in words.")
    description: str = Field("", description="What such a record is.")
    deletes: Literal["propagate", "unlink", "ask"] = Field(
        "ask",
        description="A record deleted in one system: `propagate` deletes it everywhere, `unlink` forgets the link, "
        "`ask` leaves it to a person. Default: ask.",
    )
    fields: dict[str, str | FieldFile] = Field(description="The fields, each with its type and policy.")


class EntitiesFile(Strict):
    """`entities.yaml`: what the workspace holds, and who wins."""

    entities: dict[str, EntityFile] = Field(description="The kinds of record, by name.")


class ObjectFile(Strict):
    """One object of a system and the entity it shows."""

    entity: str = Field(description="The workspace entity that the object's records are.")
    scope: str | dict[str, Any] | None = Field(
        None,
        description="Which records take part: a SOQL condition for Salesforce; elsewhere raw field -> allowed values.",
    )
    match: list[str | list[str]] = Field(
        default_factory=list,
        description="Natural keys for first contact, strongest first: a workspace field, or a list of them together.",
    )
    fields: dict[str, Any] = Field(description="Workspace field -> the system's field, or a lens with its options.")
    writes: dict[str, WriterOptions] = Field(
        default_factory=dict, description="System fields that are only written: constants and templates."
    )
    creates: bool = Field(True, description="Whether workspace records without a counterpart are created here.")
    introduces: bool = Field(
        True, description="Whether records here that match nothing become new workspace records."
    )
    create_when: dict[str, Any] | None = Field(
        None,
        description="Create only records of which each field named holds one of the values listed; `null` is blank, "
        "`not blank` is anything else.",
    )
    deletes: Literal["propagate", "unlink", "ask"] | None = Field(
        None, description="As for the entity, for this object alone. Default: the entity's."
    )
    leaving_scope: Literal["unlink", "freeze", "archive", "delete"] = Field(
        "unlink", description="What happens to a record that stops meeting `scope`. It is never taken for a deletion."
    )
    key_field: str | None = Field(
        None, description="The unique field that carries our key, so that no create can happen twice."
    )
    readonly: bool = Field(False, description="Nothing is ever written here.")


class SystemFile(Strict):
    """`<system>.yaml`: how one system's objects show the workspace's entities."""

    system: str = Field(description="The system's name, as in the settings.")
    defaults: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="Lens -> options that each field of this system starts from."
    )
    key_field: str | None = Field(None, description="`key_field` for every object that is written and names none.")
    objects: dict[str, ObjectFile] = Field(description="The system's objects, by its own names for them.")


def explain(document: Document, error: ValidationError, prefix: Path_, models: Sequence[type[BaseModel]]) -> None:
    """Turn a pydantic error into errors at their place in the file, with the nearest valid name."""
    for each in error.errors():
        path = _written_path(document, (*prefix, *each["loc"]))
        name = str(path[-1]) if path else ""
        kind, context = each["type"], each.get("ctx", {})
        if kind == "extra_forbidden":
            document.report(path, f"unknown key {name!r}.", nearest(name, _keys_at(models, path, prefix)), key=True)
        elif kind == "missing":
            parent = path if str(each["loc"][-1]) != name else path[:-1]
            document.report(parent, f"the key {str(each['loc'][-1])!r} is missing.", key=True)
        elif kind == "literal_error":
            expected = [part.strip(" '") for part in str(context["expected"]).replace(" or ", ", ").split(",")]
            hint = nearest(str(each["input"]), expected)
            document.report(path, f"{each['input']!r} is not valid for {name!r}.", hint)
        elif kind == "value_error":
            document.report(path, f"{str(context['error']).rstrip('.')}.")
        else:
            document.report(path, f"{name!r}: {each['msg'][0].lower()}{each['msg'][1:]}, not {each['input']!r}.")


def _written_path(document: Document, path: Path_) -> Path_:
    """Drop what pydantic adds to a location (names of union members) and keep what stands in the file."""
    kept: Path_ = ()
    for index, part in enumerate(path):
        last = index == len(path) - 1
        if (*kept, part) in document.values or (last and (*kept, part) in document.keys):
            kept = (*kept, part)
    return kept


def _keys_at(models: Sequence[type[BaseModel]], path: Path_, prefix: Path_) -> set[str]:
    """The keys valid beside ``path``: found by walking the models along it."""
    import typing

    at: list[Any] = list(models)
    for part in path[len(prefix) : -1]:
        step: list[Any] = []
        for model in at:
            if isinstance(model, type) and issubclass(model, BaseModel):
                info = model.model_fields.get(str(part))
                step.extend(_flat(info.annotation) if info else [])
            elif typing.get_origin(model) in (dict, list):
                step.extend(_flat(typing.get_args(model)[-1]))
        at = step
    known: set[str] = set()
    for model in at:
        if isinstance(model, type) and issubclass(model, BaseModel):
            known |= {info.alias or name for name, info in model.model_fields.items()}
    return known


def _flat(annotation: Any) -> list[Any]:
    import types
    import typing

    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [each for part in typing.get_args(annotation) for each in _flat(part)]
    return [annotation]
