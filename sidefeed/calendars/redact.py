"""What a meeting is about is for the people in it: in plans, logs and errors its words are withheld."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from sidefeed.calendars.policy import SECRET
from sidefeed.mapping import ObjectMap


def secret_fields(om: ObjectMap) -> dict[str, tuple[str, ...]]:
    """Workspace field -> the raw fields of an object that hold words of a meeting; nothing for other entities."""
    if om.entity != "meeting":
        return {}
    return {name: tuple(om.field(name).lens.raw) for name in SECRET if name in om}


def secret_raw(om: ObjectMap) -> frozenset[str]:
    return frozenset(raw for names in secret_fields(om).values() for raw in names)


def masked(values: Mapping[str, Any], secret: Iterable[str]) -> dict[str, Any]:
    """Values as they may be shown. What is withheld keeps a digest, so that two plans can still be compared."""
    hidden = frozenset(secret)
    return {name: withheld(value) if name in hidden else value for name, value in values.items()}


def withheld(value: Any, key: bytes = b"") -> Any:
    """A digest in place of a value that is not blank. Nobody who lacks the ``key`` can try what a digest is of."""
    if value in (None, "", []):
        return value
    told = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return f"(withheld {hashlib.blake2b(told, digest_size=6, key=key).hexdigest()})"


def discreet(message: str, values: Mapping[str, Any], secret: Iterable[str]) -> str:
    """A message without the words it quotes: systems like to repeat the value that they refuse."""
    for name in secret:
        for word in _texts(values.get(name)):
            message = message.replace(word, "(withheld)")
    return message


def told(om: ObjectMap, field: str, code: str, message: str) -> str:
    """What is said of a value that cannot cross: of a meeting's words not the value, not even cut short."""
    if om.entity != "meeting" or field not in SECRET:
        return message
    return f"the {field} of this meeting cannot cross ({code}): change it in the calendar. Its text is withheld"


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if value.strip() else []
    if isinstance(value, Mapping):
        return [text for item in value.values() for text in _texts(item)]
    if isinstance(value, list | tuple):
        return [text for item in value for text in _texts(item)]
    return []
