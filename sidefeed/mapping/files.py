"""The mapping files as they are written: YAML with the place of every key, the pydantic models, and the errors.

An error names file, line and column, what was expected, and the nearest valid name. All errors of all files are
reported at once.
"""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from .lenses import WriterOptions

Path_ = tuple[str | int, ...]

FieldType = Literal[
    "text", "number", "money", "date", "datetime", "boolean", "choice", "email", "phone", "url", "ref", "refs",
    "related", "set", "when", "attendees", "address",
]  # fmt: skip
TYPES: tuple[str, ...] = typing.get_args(FieldType)


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
    files: dict[Path_, str] = field(default_factory=dict)
    """Which file a path was included from, where it is not this one."""

    def place(self, path: Path_, *, key: bool = False) -> tuple[str, int, int]:
        """File, line and column of what stands at ``path``, or of the nearest enclosing thing that is written."""
        for cut in range(len(path), -1, -1):
            here = path[:cut]
            found = self.keys.get(here) if key and cut == len(path) else self.values.get(here)
            if found:
                return (self.file_of(here), *found)
        return (self.file, 1, 1)

    def file_of(self, path: Path_) -> str:
        return self.files.get(path, self.file)

    def place_of(self, path: Path_, value: object = None) -> tuple[str, int, int]:
        """Where ``value`` is written, at ``path`` or below it; the place of ``path`` itself where it is not."""
        if value is not None:
            for at in self._below(path):
                if at in self.values and self.at(at) == value:
                    return (self.file_of(at), *self.values[at])
        return (self.file_of(path), *self.keys[path]) if path in self.keys else self.place(path)

    def _below(self, path: Path_) -> list[Path_]:
        return [at for at in self.values if at[: len(path)] == path]

    def at(self, path: Path_) -> Any:
        """The plain data at a path; None where the path leads nowhere."""
        data = self.data
        for part in path:
            try:
                data = data[part]
            except (KeyError, IndexError, TypeError):
                return None
        return data

    def report(self, path: Path_, message: str, hint: str = "", *, key: bool = False) -> None:
        self.errors.append(MappingError(*self.place(path, key=key), message, hint))


@lru_cache(maxsize=32)
def _composed(text: str) -> Node | None:
    """The nodes of a file. Kept, because a page or a worker reads the same files time and again, and composing them is
    half of what it costs to load a mapping."""
    node: Node | None = YAML(typ="safe").compose(text)
    return node


def read_yaml(path: Path, name: str) -> Document:
    """Parse one file. Syntax errors and repeated keys are in ``errors``; dates and decimals stay text."""
    document = Document(name)
    text = ""
    try:
        text = path.read_text(encoding="utf-8")
        root = _composed(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        hint = "Put quotes around values that hold a colon." if "':'" in str(error.problem) else ""
        if "\t" in "".join(text.split("\n")[line - 1:line])[:column]:
            hint = "Indent with spaces: a tab may not stand there."
        problem = f"this is not YAML: {error.problem or error.context}."
        document.errors.append(MappingError(name, line, column, problem, hint))
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
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class PreferRule(Strict):
    prefer: str = Field(description="The system of record: its value wins where two people disagree.")


class FieldFile(Strict):
    """One field of an entity. Short forms: `name: text`, `owner: ref user`, `about: related opportunity account`."""

    type: FieldType = Field(description="What kind of value the field holds.")
    to: str | list[str] | None = Field(
        None, description="For `ref`, `refs` and `related`: the entity (entities) referred to."
    )
    choices: list[str] | dict[str, str] | None = Field(
        None,
        description="For `choice`, and for a `set` with a list: the values, in order; as a mapping, each with the "
        "label that people see.",
    )
    roles: list[str] | dict[str, str] | None = Field(
        None,
        description="For `refs`: the roles in which records may stand there, such as those of the people on a deal; as "
        "a mapping, each with the label that people see.",
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


_INCLUDE: Any = Field(
    default_factory=list,
    description="Files with shared parts, beside this one, such as `shared/stages.yaml`. What this file says wins.",
)


class EntitiesFile(Strict):
    """`entities.yaml`: what the workspace holds, and who wins."""

    include: str | list[str] = _INCLUDE
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
    who: Literal["owner", "deals", "all"] | None = Field(
        None,
        description="Where each person has an own folder (contacts of mailboxes): whose records are created in it. "
        "`owner`: those that the person owns; `deals`: besides, the people of the person's accounts and open deals; "
        "`all`: everybody's. Default: owner.",
    )
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
    key_unique: bool = Field(
        True, description="`false` where the system has no unique fields on this object (Salesforce activities)."
    )
    readonly: bool = Field(False, description="Nothing is ever written here.")


class SystemFile(Strict):
    """`<system>.yaml`: how one system's objects show the workspace's entities."""

    include: str | list[str] = _INCLUDE
    system: str = Field(description="The system's name, as in the settings.")
    defaults: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="Lens -> options that each field of this system starts from."
    )
    key_field: str | None = Field(None, description="`key_field` for every object that is written and names none.")
    objects: dict[str, ObjectFile] = Field(description="The system's objects, by its own names for them.")


# What pydantic says of each branch of a union that the value was not meant for.
_WRONG_SHAPE = {"string_type", "model_type", "dict_type", "list_type", "literal_error"}
_EXPECTED = {
    "bool_parsing": "true or false", "bool_type": "true or false", "int_parsing": "a whole number",
    "int_type": "a whole number", "string_type": "text", "model_type": "keys and values",
    "dict_type": "keys and values", "list_type": "a list", "string_too_short": "some text",
}  # fmt: skip


def explain(document: Document, error: ValidationError, prefix: Path_, model: type[BaseModel]) -> None:
    """Turn a pydantic error into errors at their place in the file, with the nearest valid name."""
    found = [(_written_path(document, (*prefix, *each["loc"])), each) for each in error.errors()]
    unknown = {(path[:-1], _near(path, model, prefix)) for path, each in found if each["type"] == "extra_forbidden"}
    for path, each in found:
        if _is_wrong_branch(path, each, found):
            continue
        if each["type"] == "missing":
            key = str(each["loc"][-1])
            if (path, f"Did you mean {key!r}?") not in unknown:
                document.report(path, f"the key {key!r} is missing.", key=True)
        elif each["type"] == "extra_forbidden":
            document.report(path, f"unknown key {str(path[-1])!r}.", _near(path, model, prefix), key=True)
        else:
            _explain_value(document, path, each, model, prefix)


def _is_wrong_branch(path: Path_, each: Any, found: Sequence[tuple[Path_, Any]]) -> bool:
    if each["type"] not in _WRONG_SHAPE or (each["type"] == "literal_error" and isinstance(each["input"], str)):
        return False
    others = [other for other in found if other[1] is not each and other[0][: len(path)] == path]
    return any(
        other["type"] not in _WRONG_SHAPE or (other["type"] == "literal_error" and isinstance(other["input"], str))
        for _, other in others
    ) or any(at == path and other["type"] < each["type"] for at, other in others)


def _explain_value(document: Document, path: Path_, each: Any, model: type[BaseModel], prefix: Path_) -> None:
    name = str(path[-1]) if path else document.file
    kind, given = each["type"], each["input"]
    if kind == "value_error":
        document.report(path, f"{str(each['ctx']['error']).rstrip('.')}.")
    elif kind == "literal_error":
        expected = [part.strip(" '") for part in str(each["ctx"]["expected"]).replace(" or ", ", ").split(",")]
        document.report(path, f"{given!r} is not valid for {name!r}.", nearest(str(given), expected))
    elif kind in _EXPECTED:
        document.report(path, f"{name!r} must be {_EXPECTED[kind]}, not {given!r}.")
    elif kind == "string_pattern_mismatch":
        known = [at.model_fields[name].description or "" for at in _models_at(path, model, prefix)]
        document.report(path, f"{given!r} is not valid for {name!r}.", next(iter(known), ""))
    else:
        document.report(path, f"{name!r}: {each['msg'][0].lower()}{each['msg'][1:]}, not {given!r}.")


def _near(path: Path_, model: type[BaseModel], prefix: Path_) -> str:
    known = {info.alias or key for at in _models_at(path, model, prefix) for key, info in at.model_fields.items()}
    return nearest(str(path[-1]), known) if path else ""


def _written_path(document: Document, path: Path_) -> Path_:
    """Drop what pydantic adds to a location (names of union members) and keep what stands in the file."""
    kept: Path_ = ()
    for index, part in enumerate(path):
        last = index == len(path) - 1
        if (*kept, part) in document.values or (last and (*kept, part) in document.keys):
            kept = (*kept, part)
    return kept


def _models_at(path: Path_, model: type[BaseModel], prefix: Path_) -> list[type[BaseModel]]:
    """The models that describe what stands beside ``path``: found by walking down from ``model``."""
    at: list[Any] = [model]
    for part in path[len(prefix) : -1]:
        step: list[Any] = []
        for each in at:
            if _is_model(each):
                info = each.model_fields.get(str(part))
                step.extend(_branches(info.annotation) if info else [])
            elif typing.get_origin(each) in (dict, list):
                step.extend(_branches(typing.get_args(each)[-1]))
        at = step
    return [each for each in at if _is_model(each)]


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _branches(annotation: Any) -> list[Any]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [each for part in typing.get_args(annotation) for each in _branches(part)]
    return [annotation]
