"""``sidefeed map init``: the live schema and a few records become a draft, and the draft becomes part of the files."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from sidefeed.connector import Connector
from sidefeed.mapping import Mapping as Mappings
from sidefeed.mapping import MappingErrors, load
from sidefeed.mapping.draft import Draft, draft

HEAD = ("# yaml-language-server: $schema=schema.json\n"
        "# {system}: first mapping, written by `sidefeed map init`. Settle each `doubt:`.\n")


class NotWritten(Exception):
    """The draft was not put into the files; the message says why and what to do."""


def first_mapping(
    connector: Connector, mappings: Mappings, system: str, object: str, *, entity: str | None = None, sample: int = 50
) -> Draft:
    """The draft for one object of a live system. Raises what the connector raises."""
    schema = connector.describe(object)
    own = {om.key_field for om in mappings.for_system(system) if om.key_field}
    fields = [name for name, each in schema.fields.items() if each.same_as not in schema.fields]
    rows = _sample(connector, object, fields, sample) if sample else []
    return draft(schema, mappings.entities, entity=entity, sample=rows, own=own)


def _sample(connector: Connector, object: str, fields: list[str], number: int) -> list[Mapping[str, Any]]:
    """The first records of the object, from its first feed; one page is read."""
    stream = next(iter(connector.streams(object)), None)
    if stream is None:
        return []
    page = next(iter(connector.changes(stream, fields, None)), None)
    rows = (remote.values for remote in page.records if remote.values) if page is not None else iter(())
    return list(islice(rows, number))


def put(
    folder: Path, system: str, made: Draft, mappings: Mappings, values: Mapping[str, Any] | None = None
) -> list[Path]:
    """Add the draft to ``<system>.yaml``, and its entity to ``entities.yaml`` where it is new. Nothing that is there is
    changed, and nothing is left behind that cannot be loaded. Raises NotWritten."""
    if any((om.system, om.object) == (system, made.object) for om in mappings.objects):
        raise NotWritten(f"{system} {made.object} is mapped already; nothing was written. Compare with the draft that "
                         "`sidefeed map init` prints without --write.")
    path = _file_of(folder, system, mappings)
    wanted = {path: _with_object(path, system, made)}
    if made.new_entity:
        entities = folder / "entities.yaml"
        wanted[entities] = _appended(entities.read_text(encoding="utf-8"), "\n" + made.new_entity)
    before = {each: each.read_text(encoding="utf-8") if each.exists() else None for each in wanted}
    for each, text in wanted.items():
        each.write_text(text, encoding="utf-8")
    try:
        load(folder, values)
    except MappingErrors as error:
        for each, told in before.items():
            if told is None:
                each.unlink()
            else:
                each.write_text(told, encoding="utf-8")
        raise NotWritten(f"the draft does not fit into the files, which are as they were: {error}") from None
    return list(wanted)


def _file_of(folder: Path, system: str, mappings: Mappings) -> Path:
    places = [om.place(()).file for om in mappings.for_system(system)]
    return folder / (Path(places[0]).name if places else f"{system}.yaml")


def _with_object(path: Path, system: str, made: Draft) -> str:
    if not path.exists():
        return f"{HEAD.format(system=system)}\nsystem: {system}\n\nobjects:\n{made.text()}"
    text = path.read_text(encoding="utf-8")
    keys = [line.partition(":")[0] for line in text.splitlines() if line[:1].isalpha()]
    if not keys or keys[-1] != "objects":
        raise NotWritten(f"`objects:` is not the last key of {path}, so it cannot be added to safely; paste what "
                         "`sidefeed map init` prints without --write.")
    return _appended(text, "\n" + made.text())


def _appended(text: str, more: str) -> str:
    return f"{text.rstrip()}\n{more}"
