"""Identity: which record is this remote object? Order of proof: a known id, our key, a natural key, else it is new.

Several candidates are never settled by taking the first: the object waits, with the evidence, for a person.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any
from uuid import UUID

import orjson

from sidefeed.calendars.recurrence import SERIES
from sidefeed.mapping import Mapping as Mappings
from sidefeed.mapping import ObjectMap
from sidefeed.workspace import Store

_LEGAL_FORMS = frozenset(
    "ab ag aps as asa bv co company corp corporation gmbh inc incorporated kft kg limited llc llp ltd nv oy plc pty "
    "sa sarl sas se sl spa srl".split())
LONGEST_KEY = 1_000
"""Bytes. A longer key stands for itself by its digest: PostgreSQL indexes no value of more than 2,704."""
_NOT_WORD = re.compile(r"[^\w]+", re.UNICODE)
_ADDRESS = re.compile(r"\S+\.\S+|.*(@|://).*", re.DOTALL)
COMPARED = 2
"""How `normalise` compares; another number, and every workspace makes its keys anew."""


def normalise(value: Any) -> Any:
    """A value as it is compared for matching. Of a name, case, accents, punctuation and legal forms do not count; of an
    address (of mail, of the web, a domain) only case does not: acme.co and acme.se are two companies."""
    if isinstance(value, str):
        text = unicodedata.normalize("NFKC", value).casefold().strip()
        if _ADDRESS.fullmatch(text):
            return text
        text = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
        words = [word for word in _NOT_WORD.split(text) if word]
        return " ".join([word for word in words if word not in _LEGAL_FORMS] or words)
    if isinstance(value, Mapping):
        return {key: normalise(item) for key, item in value.items()}
    return value


KEYS = "natural keys"
"""Name of the setting that tells by which keys the records are indexed."""


def keys_of(tuples: Iterable[Sequence[str]], values: Mapping[str, Any]) -> list[str]:
    """The natural keys of a record, strongest first; a key with a blank part proves nothing and is left out."""
    found = []
    for names in tuples:
        parts = []
        for name in names:
            if (part := values.get(name)) in (None, "", []):
                break
            parts.append(part)
        else:
            told = orjson.dumps([normalise(part) for part in parts], option=orjson.OPT_SORT_KEYS)
            found.append("+".join(names) + "=" + (
                told.decode() if len(told) <= LONGEST_KEY else f"#{blake2b(told, digest_size=16).hexdigest()}"))
    return found


def natural_keys(mappings: Mappings) -> Callable[[str, Mapping[str, Any]], Iterable[str]]:
    """The key function of a workspace: every tuple that any system matches an entity by, or looks it up by.

    Whoever writes to a workspace needs it, also where no system is asked: a record is stored with its keys or without.
    """
    tuples = _tuples(mappings)
    return lambda entity, values: keys_of(tuples.get(entity, ()), values)


def _tuples(mappings: Mappings) -> dict[str, tuple[tuple[str, ...], ...]]:
    """Entity -> the fields of each of its natural keys."""
    match: dict[str, list[Sequence[str]]] = {"contact": [("email",)], "account": [("domain",)], SERIES: [("key",)]}
    for om in mappings.objects:
        match.setdefault(om.entity, []).extend(om.match)
        for entity, field_name in sorted(om.looked_up):
            match.setdefault(entity, []).append((field_name,))
    return {entity: tuple(dict.fromkeys(tuple(names) for names in tuples)) for entity, tuples in match.items()}


def index(store: Store, mappings: Mappings) -> None:
    """Make the natural keys of all records anew where they are of another kind than those stored: what is matched by
    changed, or how it is compared. Cheap where neither did."""
    tuples = _tuples(mappings)
    told = f"{COMPARED} " + orjson.dumps(
        {entity: sorted(names) for entity, names in tuples.items()}, option=orjson.OPT_SORT_KEYS).decode()
    with store.read() as tx:
        if tx.setting(KEYS) == told:
            return
    with store.write() as tx:
        for entity in tuples:
            tx.index_again(entity)
        tx.save_setting(KEYS, told)


def stamped_record(om: ObjectMap, values: Mapping[str, Any] | None) -> str | None:
    """The record that an object's key names, where it has one of ours."""
    stamp = (values or {}).get(om.key_field) if om.key_field else None
    if not isinstance(stamp, str):
        return None
    record, _, generation = stamp.rpartition(":")
    try:
        return record if generation.isdigit() and str(UUID(record)) == record else None
    except ValueError:
        return None
