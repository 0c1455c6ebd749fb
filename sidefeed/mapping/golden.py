"""Golden tests: ``mappings/tests/*.yaml`` hold a record as a system shows it, the workspace record it must become, and
what each system must be sent for it. They run without any system, in milliseconds.

.. code-block:: yaml

    tests:
      - name: a won deal
        given: {system: salesforce, object: Opportunity, record: {Name: Pumps, StageName: Closed Won}}
        workspace: {name: Pumps, stage: won}
        writes:
          hubspot deals: {create: {dealname: Pumps, dealstage: closedwon, pipeline: default}}

A field that is not listed is blank; numbers may stand without quotes. ``refs`` names the records referred to and their
ids in each system. In an update a blank is listed, because it clears.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from .files import Document, MappingErrors, Strict, explain, nearest, read_yaml
from .model import Mapping as Mappings
from .model import ObjectMap

FOLDER = "tests"
NOTHING = "nothing"


class Given(Strict):
    """The record as a system shows it."""

    system: str = Field(description="The system.")
    object: str = Field(description="The system's object.")
    record: dict[str, Any] = Field(description="Raw field -> raw value. A field not listed was not returned.")


class Written(Strict):
    """What one object of a system is sent."""

    create: dict[str, Any] | str | None = Field(
        None,
        description="The raw values of a new record; `nothing` where none is created; `waits for <fields>` where "
        "fields it needs are blank.",
    )
    update: dict[str, Any] | None = Field(
        None, description="The raw values when every field of the workspace record is written to a record there."
    )
    problems: dict[str, str] = Field(
        default_factory=dict, description="Workspace field -> code of what cannot be written."
    )


class GoldenCase(Strict):
    """One golden test."""

    name: str = Field(description="What it shows, in words.")
    given: Given | None = Field(None, description="The record read. Without it only the writes are tested.")
    refs: dict[str, dict[str, dict[str, str]]] = Field(
        default_factory=dict, description="Entity -> record -> its id in each system."
    )
    workspace: dict[str, Any] = Field(description="Workspace field -> the value it must have.")
    problems: dict[str, str] = Field(
        default_factory=dict, description="Workspace field -> code of what cannot be read (`unresolved`, ...)."
    )
    writes: dict[str, Written] = Field(
        default_factory=dict, description="`<system> <object>` -> what it is sent for the workspace record."
    )
    conflict: dict[str, Any] = Field(
        default_factory=dict,
        description="System -> what it says of the one field of `workspace`, which the field's policy must choose.",
    )
    entity: str | None = Field(None, description="The entity, where `given` is not there to tell it.")


class GoldenFile(Strict):
    """`tests/*.yaml` beside the mapping files: golden tests."""

    tests: list[GoldenCase] = Field(description="The tests of this file.")


@dataclass(frozen=True, slots=True)
class Golden:
    """A golden test and where it stands."""

    case: GoldenCase
    file: str
    line: int
    path: Path
    index: int


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that is not what the golden test says. ``MISSING`` stands for no value at all."""

    where: str
    name: str
    expected: Any
    got: Any

    def __str__(self) -> str:
        return f"{self.where}: {self.name}: expected {_shown(self.expected)}, got {_shown(self.got)}"


class _Nothing:
    def __repr__(self) -> str:
        return "nothing"


MISSING = _Nothing()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the mapping makes of one golden test, in the words that the test uses."""

    golden: Golden
    differences: tuple[Difference, ...] = ()
    got: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not self.differences

    def as_json(self) -> dict[str, Any]:
        return {"test": self.golden.case.name, "file": self.golden.file, "line": self.golden.line,
                "differences": [{"where": each.where, "name": each.name, "expected": _plain_side(each.expected),
                                 "got": _plain_side(each.got)} for each in self.differences]}

    def __str__(self) -> str:
        head = f"{self.golden.file}:{self.golden.line}: {self.golden.case.name}"
        if self.ok:
            return head
        lines, width = [head], max(len(each.name) for each in self.differences)
        for where in dict.fromkeys(each.where for each in self.differences):
            lines.append(f"  {where}")
            for each in self.differences:
                if each.where == where:
                    lines += [f"    {each.name:{width}}  - {_shown(each.expected)}",
                              f"    {'':{width}}  + {_shown(each.got)}"]
        return "\n".join(lines)


def read(folder: Path) -> list[Golden]:
    """Every golden test beside the mapping files in ``folder``. Raises MappingErrors."""
    found: list[Golden] = []
    errors = []
    for path in sorted((folder / FOLDER).glob("*.yaml")):
        document = read_yaml(path, f"{folder.name}/{FOLDER}/{path.name}")
        cases = _cases(document)
        errors += document.errors
        found += [Golden(case, document.file, document.place(("tests", index))[1], path, index)
                  for index, case in enumerate(cases)]
    if errors:
        raise MappingErrors(errors)
    return found


def _cases(document: Document) -> list[GoldenCase]:
    if document.errors:
        return []
    try:
        return list(GoldenFile.model_validate(document.data).tests)
    except ValidationError as error:
        explain(document, error, (), GoldenFile)
        return []


def run(mapping: Mappings, goldens: Iterable[Golden]) -> Iterator[Outcome]:
    """Hold each golden test against the mapping."""
    for golden in goldens:
        yield _Run(mapping, golden).outcome()


class _Refs:
    """The references of one golden test, for one system."""

    def __init__(self, told: Mapping[str, Mapping[str, Mapping[str, str]]], system: str) -> None:
        self.outward = {(entity, record): ids[system] for entity, records in told.items()
                        for record, ids in records.items() if system in ids}
        self.inward = {(entity, id): record for (entity, record), id in self.outward.items()}
        self.told = told

    def record(self, entity: str, external_id: str) -> str | None:
        return self.inward.get((entity, external_id))

    def external(self, entity: str, record: str) -> str | None:
        return self.outward.get((entity, record))

    def holder(self, entity: str, field: str, value: str) -> str | None:
        return next((record for record, told in self.told.get(entity, {}).items() if told.get(field) == value), None)

    def value(self, entity: str, record: str, field: str) -> Any:
        told = self.told.get(entity, {}).get(record, {}).get(field)
        return {"true": True, "false": False}.get(str(told), told)


class _Run:
    def __init__(self, mapping: Mappings, golden: Golden) -> None:
        self.mapping = mapping
        self.golden = golden
        self.case = golden.case
        self.differences: list[Difference] = []
        self.got: dict[str, Any] = {}

    def outcome(self) -> Outcome:
        given = self.case.given
        values: Mapping[str, Any] = self.case.workspace
        if given is not None:
            om = self._object(f"{given.system} {given.object}", "given")
            if om is not None:
                read, problems = om.read(given.record, _Refs(self.case.refs, given.system))
                codes = {each.field: each.code for each in problems}
                self.got["workspace"] = _without_blanks(read)
                self.got["problems"] = codes
                self._compare("workspace", self.case.workspace, read)
                self._compare("problems when read", self.case.problems, codes)
                values = read
        if self.case.conflict:
            self._decide()
        for name, expected in self.case.writes.items():
            om = self._object(name, "writes")
            if om is not None:
                self._write(om, name, expected, values)
        return Outcome(self.golden, tuple(self.differences), self.got)

    def _decide(self) -> None:
        """Let the field's policy choose between what the systems say."""
        from sidefeed.sync.policy import choose
        from sidefeed.workspace import Head

        entity = self.mapping.entities.get(self.case.entity or "")
        (name, expected), *more = self.case.workspace.items() or [("", MISSING)]
        if entity is None or name not in entity.fields or more:
            self.differences.append(
                Difference("conflict", name or "workspace", "one field of a declared entity", MISSING))
            return
        heads = [Head(number, value, "", source, f"2000-01-{number:02}", "")
                 for number, (source, value) in enumerate(self.case.conflict.items(), 1)]
        won = choose(entity.fields[name].policy, heads)
        self.got["conflict"] = MISSING if won is None else won.value
        if won is None or won.value != expected:
            self.differences.append(
                Difference("conflict", name, expected, "people are asked" if won is None else won.value))

    def _object(self, name: str, where: str) -> ObjectMap | None:
        known = {f"{each.system} {each.object}": each for each in self.mapping.objects}
        if name not in known:
            self.differences.append(Difference(where, name, f"a mapped object. {nearest(name, known)}", MISSING))
        return known.get(name)

    def _write(self, om: ObjectMap, name: str, expected: Written, values: Mapping[str, Any]) -> None:
        refs = _Refs(self.case.refs, om.system)
        got: dict[str, Any] = {}
        codes: dict[str, str] = {}
        if expected.create is not None:
            got["create"], found = _created(om, values, refs)
            codes |= found
            self._compare_create(name, expected.create, got["create"])
        if expected.update is not None:
            raw, problems = om.write(values, values.keys(), refs)
            codes |= {each.field: each.code for each in problems}
            got["update"] = raw
            self._compare(f"{name} update", expected.update, raw, blanks=True)
        self._compare(f"{name} problems", expected.problems, codes)
        self.got.setdefault("writes", {})[name] = {**got, **({"problems": codes} if codes else {})}

    def _compare_create(self, name: str, expected: dict[str, Any] | str, got: dict[str, Any] | str) -> None:
        if isinstance(expected, dict) and isinstance(got, dict):
            self._compare(f"{name} create", expected, got)
        elif expected != got:
            self.differences.append(Difference(f"{name} create", "the record", expected, got))

    def _compare(
        self, where: str, expected: Mapping[str, Any], got: Mapping[str, Any], *, blanks: bool = False
    ) -> None:
        """``blanks``: a blank is a write that clears, and has to be listed."""
        for name in dict.fromkeys([*expected, *got]):
            one, other = expected.get(name, MISSING), got.get(name, MISSING)
            if one is MISSING and other is None and not blanks:
                continue
            if not _equal(one, other):
                self.differences.append(Difference(where, name, one, other))


def _created(om: ObjectMap, values: Mapping[str, Any], refs: _Refs) -> tuple[dict[str, Any] | str, dict[str, str]]:
    if not om.creates or (om.create_when is not None and not om.create_when(values)):
        return NOTHING, {}
    if missing := om.missing(values):
        return f"waits for {', '.join(missing)}", {}
    raw, problems = om.write(values, values.keys(), refs, create=True)
    return _without_blanks(raw), {each.field: each.code for each in problems}


def _without_blanks(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _equal(expected: Any, got: Any) -> bool:
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        return all(_equal(expected.get(name), got.get(name)) for name in {*expected, *got})
    if isinstance(expected, list) and isinstance(got, list):
        return len(expected) == len(got) and all(_equal(*pair) for pair in zip(expected, got, strict=True))
    if isinstance(expected, int | str) and isinstance(got, int | str):
        if isinstance(expected, bool) or isinstance(got, bool):
            return expected is got
        return str(expected) == str(got)
    return bool(expected == got)


def _shown(value: Any) -> str:
    return repr(value)


def _plain_side(value: Any) -> Any:
    """A side of a difference as JSON holds it: `null` for nothing at all and for a blank."""
    return None if value is MISSING else value


# --- writing them ----------------------------------------------------------------------------------------------------


def accept(outcomes: Iterable[Outcome]) -> list[Path]:
    """Write what the mapping makes of the tests that differ into their files; comments and order stay."""
    from ruamel.yaml import YAML

    changed: list[Path] = []
    by_file: dict[Path, list[Outcome]] = {}
    for each in outcomes:
        if not each.ok and each.got:
            by_file.setdefault(each.golden.path, []).append(each)
    for path, found in by_file.items():
        yaml = _yaml(YAML())
        document = yaml.load(path.read_text(encoding="utf-8"))
        for outcome in found:
            _put(document["tests"][outcome.golden.index], outcome.got)
        with path.open("w", encoding="utf-8") as target:
            yaml.dump(document, target)
        changed.append(path)
    return changed


def write_case(path: Path, case: Mapping[str, Any]) -> None:
    """Add a test to a file of golden tests, which is made where it is not there."""
    from ruamel.yaml import YAML

    yaml = _yaml(YAML())
    if path.exists():
        document = yaml.load(path.read_text(encoding="utf-8"))
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        document = yaml.load("# yaml-language-server: $schema=../schema.json\ntests: []\n")
        document["tests"].fa.set_block_style()
    document["tests"].append(dict(case))
    with path.open("w", encoding="utf-8") as target:
        yaml.dump(document, target)


def _yaml(yaml: Any) -> Any:
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 4096
    yaml.preserve_quotes = True
    # A blank is written out as people write it in these files: what nobody touched stays as it is.
    yaml.representer.add_representer(type(None), lambda representer, _blank: representer.represent_scalar(
        "tag:yaml.org,2002:null", "null"))
    return yaml


def _put(case: Any, got: Mapping[str, Any]) -> None:
    """Put what the mapping makes into a test, in the order that tests are written in."""
    for key, value in got.items():
        if key == "writes":
            for name, written in value.items():
                _block(case["writes"])
                _block(case["writes"][name])
                for part, raw in written.items():
                    _merge(case["writes"][name], part, raw)
                if "problems" in case["writes"][name] and "problems" not in written:
                    del case["writes"][name]["problems"]
        elif key == "problems" and value and "problems" not in case:
            case.insert(list(case).index("workspace") + 1, "problems", _commented(value))
        elif key != "problems" or "problems" in case:
            _merge(case, key, value)


def _merge(into: Any, key: str, value: Any) -> None:
    """Replace what differs, one key at a time, so that comments beside the rest stay."""
    there = into.get(key)
    if not isinstance(there, dict) or not isinstance(value, dict):
        if there is None or not _equal(there, value):
            into[key] = _commented(value)
        return
    for name in [name for name in there if name not in value and there[name] is not None]:
        del there[name]
    for name, each in value.items():
        if name not in there or not _equal(there[name], each):
            _block(there)
            there[name] = _commented(each)


def _block(node: Any) -> None:
    """One line for each key: what is written in braces breaks in ugly places once it is long."""
    node.fa.set_block_style()


def _commented(value: Any) -> Any:
    """Plain data as ruamel writes it best: small things in braces, text with line breaks and figures in quotes."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if isinstance(value, Mapping):
        made = CommentedMap((name, _commented(each)) for name, each in value.items())
        if len(value) <= 4 and not any(isinstance(each, Mapping | list) for each in value.values()):
            made.fa.set_flow_style()
        return made
    if isinstance(value, list):
        seq = CommentedSeq(map(_commented, value))
        seq.fa.set_flow_style()
        return seq
    return DoubleQuotedScalarString(value) if isinstance(value, str) and not _plain(value) else value


def _plain(value: str) -> bool:
    """Whether it means the same without quotes, in braces too."""
    return value[:1].isalpha() and re.fullmatch(r"[\w @.'/()&+-]*[\w.)]", value) is not None and value.lower() not in (
        "true", "false", "null", "yes", "no", "on", "off")
