"""Whom a system gives what we make there without naming an owner: nobody chose that, so it is no edit.

A person who takes such an object, or gives it to somebody, does so before anybody here has seen whose it became. What
tells the two apart is who made it: a system gives it to its maker, and we know that we are that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sidefeed.connector import Connector, ConnectorError, GivesOwners, Stream
from sidefeed.mapping import FieldMap, ObjectMap
from sidefeed.workspace import Link


def names_no_owner(om: ObjectMap, sent: Mapping[str, Any]) -> bool:
    """Whether raw values that make an object leave it to the system whose it becomes."""
    return any(_is_owner(spec) and all(sent.get(key) is None for key in spec.lens.raw) for spec in om.fields)


def given_to(connector: Connector, stream: Stream, made: str) -> str | bool:
    """The remote id of the user to whom the system gives what we make; False where it gives it to nobody, and True
    where it did not tell to whom."""
    if not isinstance(connector, GivesOwners):
        return False
    try:
        return connector.acts_as(stream, made) or True
    except ConnectorError:  # what was made is settled all the same, and the next call tells what is wrong
        return True


def is_given(spec: FieldMap, link: Link, image: Mapping[str, Any]) -> bool:
    """Whether a field holds the owner whom the system gave an object at its making, and who was not read before."""
    sent: Mapping[str, Any] = link.sent or {}
    made = sent.get("made")
    if not made or not _is_owner(spec) or any(sent["values"].get(key) is not None for key in spec.lens.raw):
        return False
    return made is True or any(image.get(key) == made for key in spec.lens.raw)


def _is_owner(spec: FieldMap) -> bool:
    wanted = spec.lens.spec
    return spec.reads and (wanted.type, wanted.entity) == ("ref", "user")
