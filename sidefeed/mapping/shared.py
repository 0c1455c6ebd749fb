"""What mapping files share: parts in files of their own (``include``), and values that differ between environments
(``${name}``), which stand in the project's settings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .files import Document, Path_, nearest, read_yaml

Values = Mapping[str, Any]

INCLUDE = "include"
_SLOT = re.compile(r"(\$?)\$\{(\w+)(?::-([^}]*))?\}")


def read(path: Path, name: str, values: Values) -> Document:
    """One mapping file with what it includes and with its values filled in; mistakes are in ``errors``."""
    document = read_yaml(path, name)
    _include(document, path, (path.resolve(),))
    if isinstance(document.data, dict):
        document.data = _filled(document, document.data, (), values)
    return document


def _include(document: Document, path: Path, above: tuple[Path, ...]) -> None:
    if not isinstance(document.data, dict) or INCLUDE not in document.data:
        return
    told = document.data.pop(INCLUDE)
    for index, each in enumerate(told if isinstance(told, list) else [told]):
        here: Path_ = (INCLUDE, index) if isinstance(told, list) else (INCLUDE,)
        other = path.parent / str(each)
        if not isinstance(each, str) or not other.is_file():
            document.report(here, f"{each!r} is no file beside {path.name}.", _near(path, str(each)))
        elif other.resolve() in above:
            document.report(here, f"{each!r} includes itself.")
        else:
            part = read_yaml(other, f"{Path(document.file).parent.as_posix()}/{each}")
            _include(part, other, (*above, other.resolve()))
            _merge(document, part)


def _near(path: Path, name: str) -> str:
    known = [each.relative_to(path.parent).as_posix() for each in path.parent.glob("*/*.yaml")]
    return nearest(name, known)


def _merge(document: Document, part: Document) -> None:
    """Take over what the document does not say itself; where both hold keys and values, they are joined."""
    document.errors += part.errors
    if not isinstance(part.data, dict):
        return
    document.data = _joined(document.data, part.data)
    written = document.keys.keys() | document.values.keys()
    taken = {at for at in part.keys.keys() | part.values.keys() if at not in written and document.at(at) is not None}
    document.files |= {at: part.file_of(at) for at in taken}
    document.keys |= {at: place for at, place in part.keys.items() if at in taken}
    document.values |= {at: place for at, place in part.values.items() if at in taken}


def _joined(own: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    joined = dict(own)
    for key, value in theirs.items():
        if key not in joined:
            joined[key] = value
        elif isinstance(joined[key], dict) and isinstance(value, dict):
            joined[key] = _joined(joined[key], value)
    return joined


def _filled(document: Document, data: Any, path: Path_, values: Values) -> Any:
    if isinstance(data, dict):
        return {key: _filled(document, value, (*path, key), values) for key, value in data.items()}
    if isinstance(data, list):
        return [_filled(document, value, (*path, index), values) for index, value in enumerate(data)]
    if not isinstance(data, str) or "${" not in data:
        return data
    alone = _SLOT.fullmatch(data)
    if alone and not alone[1]:
        return _value(document, path, alone, values)
    return _SLOT.sub(lambda slot: slot[0][1:] if slot[1] else str(_value(document, path, slot, values)), data)


def _value(document: Document, path: Path_, slot: re.Match[str], values: Values) -> Any:
    name, default = slot[2], slot[3]
    if name in values:
        return values[name]
    if default is not None:
        return default
    document.report(path, f"{name!r} has no value: set it under [values] in sidefeed.toml.", _hint(name, values))
    return ""


def _hint(name: str, values: Values) -> str:
    return nearest(name, values) if values else ""
