"""The JSON Schema of the mapping files, which editors complete, explain and underline with; and the reference tables of
``docs/mappings.md``. Both are made from the models and lenses themselves, so that they cannot say anything else.

``python -m sidefeed.mapping`` writes ``mappings/schema.json`` and the tables anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic.json_schema import models_json_schema

from .files import EntitiesFile, EntityFile, FieldFile, ObjectFile, SystemFile
from .golden import Given, GoldenCase, GoldenFile, Written
from .lenses import DEFAULT, Lens, Options, WriterOptions, library

BEGIN, END = "<!-- generated: {} -->", "<!-- end of generated: {} -->"


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a mapping file: ``entities.yaml``, a system's file or golden tests, told apart by their
    top key."""
    lenses = library()
    options = {lens.Options.__name__: lens.Options for lens in lenses.values()}
    models: list[Any] = [(each, "validation") for each in (EntitiesFile, SystemFile, GoldenFile, *options.values())]
    _, made = models_json_schema(models, by_alias=True)
    definitions = made["$defs"]
    _let_settings_in(definitions)
    definitions["MappedField"] = _mapped_field(lenses, definitions)
    definitions["ObjectFile"]["properties"]["fields"]["additionalProperties"] = {"$ref": "#/$defs/MappedField"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Sidefeed mapping file",
        "type": "object",
        "if": {"required": ["entities"]},
        "then": {"$ref": "#/$defs/EntitiesFile"},
        "else": {
            "if": {"required": ["tests"]},
            "then": {"$ref": "#/$defs/GoldenFile"},
            "else": {"$ref": "#/$defs/SystemFile"},
        },
        "$defs": dict(sorted(definitions.items())),
    }


_SETTING = {"type": "string", "pattern": r"^\$\{\w+(:-[^}]*)?\}$"}


def _let_settings_in(definitions: dict[str, Any]) -> None:
    """Wherever something other than free text is asked for, `${name}` may stand."""
    for model in definitions.values():
        for key, told in model.get("properties", {}).items():
            if told.get("type") in ("integer", "boolean") or "enum" in told or "pattern" in told:
                about = {name: told[name] for name in ("description", "default", "title") if name in told}
                rule = {name: value for name, value in told.items() if name not in about}
                model["properties"][key] = {"anyOf": [rule, _SETTING], **about}


def _mapped_field(lenses: dict[str, type[Lens]], definitions: dict[str, Any]) -> dict[str, Any]:
    """A mapped field: the system's field, or options. With ``lens`` written, that lens's options alone are valid."""
    keys: dict[str, list[str]] = {}
    for lens in {each.Options: each for each in lenses.values()}.values():
        for key in definitions[lens.Options.__name__]["properties"]:
            keys.setdefault(key, []).append(f"#/$defs/{lens.Options.__name__}/properties/{key}")
    every = {key: {"anyOf": [{"$ref": place} for place in places]} for key, places in keys.items()}
    chosen = {"oneOf": [{"const": name, "description": _sentence(lens)} for name, lens in sorted(lenses.items())]}
    rules = [
        {
            "if": {"properties": {"lens": {"const": name}}, "required": ["lens"]},
            "then": {"$ref": f"#/$defs/{lens.Options.__name__}"},
        }
        for name, lens in sorted(lenses.items())
    ]
    return {
        "anyOf": [
            {"type": "string", "description": "The system's field, through the lens of the workspace field's type."},
            {
                "type": "object",
                "properties": {**every, "lens": chosen},
                "additionalProperties": False,
                "allOf": rules,
            },
        ]
    }


def _sentence(thing: type[Any]) -> str:
    return re.sub(r"\s+", " ", thing.__doc__ or "").strip()


# --- the reference tables --------------------------------------------------------------------------------------------


def tables() -> dict[str, str]:
    """The generated parts of the reference page, by name."""
    shared = set(Options.model_fields)
    return {
        "entities": _keys(EntityFile) + "\n" + _keys(FieldFile, "A field of an entity"),
        "systems": _keys(SystemFile, "The file") + "\n" + _keys(ObjectFile, "An object"),
        "options": _keys(Options, "Beside every lens"),
        "writes": _keys(WriterOptions, "Under `writes`"),
        "types": _types(),
        "golden": "\n".join([
            _keys(GoldenCase), _keys(Given, "Under `given`"), _keys(Written, "Under each of `writes`"),
        ]),
        "findings": _findings(),
        "lenses": "\n".join(_lens(name, lens, shared) for name, lens in library().items() if name == lens.name),
    }


def _findings() -> str:
    from . import check, drift

    told = f"{check.__doc__}\n{drift.__doc__}"
    rows = re.findall(r"^([a-z-]+)  +(\S.*)$", told, re.MULTILINE)
    return "| code | meaning |\n|---|---|\n" + "".join(f"| `{code}` | {meaning} |\n" for code, meaning in rows)


def _types() -> str:
    rows = [f"| `{kind}` | `{lens}` |" for kind, lens in DEFAULT.items()]
    return "| type | its own lens |\n|---|---|\n" + "\n".join(rows) + "\n"


def _lens(name: str, lens: type[Lens], shared: Iterable[str]) -> str:
    serves = ", ".join(f"`{each}`" for each in sorted(lens.types))
    options = {key: info for key, info in lens.Options.model_fields.items() if key not in shared}
    return (
        f"### {name}\n\n{_sentence(lens)}\n\nServes {serves}.\n\n```yaml\n{lens.example}\n```\n\n{_rows(options)}"
    )


def _keys(model: type[BaseModel], title: str = "") -> str:
    return f"**{title or _sentence(model)}**\n\n{_rows(model.model_fields)}"


def _rows(fields: dict[str, FieldInfo]) -> str:
    rows = []
    for key, info in fields.items():
        needed = " (required)" if info.is_required() else ""
        rows.append(f"| `{info.alias or key}`{needed} | {(info.description or '').replace('|', chr(92) + '|')} |")
    return "| key | meaning |\n|---|---|\n" + "\n".join(rows) + "\n"


def with_tables(page: str) -> str:
    """The page with each generated part replaced by what the code says now."""
    for name, table in tables().items():
        begin, end = BEGIN.format(name), END.format(name)
        before, _, rest = page.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise ValueError(f"the page has no part between {begin} and {end}")
        page = f"{before}{begin}\n\n{table}\n{end}{after}"
    return page


def text() -> str:
    """What ``schema.json`` beside the mapping files holds."""
    return json.dumps(schema(), indent=1, ensure_ascii=False, sort_keys=False) + "\n"


def publish(root: Path) -> None:
    """Write the schema and the tables where a checkout keeps them."""
    (root / "mappings" / "schema.json").write_text(text(), encoding="utf-8")
    page = root / "docs" / "mappings.md"
    page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")
