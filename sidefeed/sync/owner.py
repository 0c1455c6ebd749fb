"""Whom a system gives what we make there without naming an owner: nobody chose that, so it is no edit.

A person who takes such an object, or gives it to somebody, does so before anybody here has seen whose it became. What
tells the two apart is who made it: a system gives it to its maker, and we know that we are that. A workspace that was
restored from a backup has forgotten what it sent; that we made an object is told by the key it carries.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sidefeed.connector import Connector, ConnectorError, GivesOwners, Stream
from sidefeed.mapping import FieldMap, ObjectMap
from sidefeed.workspace import Link, Store
from sidefeed.workspace.model import InboxItem


def names_no_owner(om: ObjectMap, sent: Mapping[str, Any]) -> bool:
    """Whether raw values that make an object leave it to the system whose it becomes."""
    return any(_is_owner(spec) and all(sent.get(key) is None for key in spec.lens.raw) for spec in om.fields)


def carries_our_key(om: ObjectMap, image: Mapping[str, Any]) -> bool:
    """Whether an object that can belong to somebody was made by us."""
    return bool(om.key_field and image.get(om.key_field)) and any(_is_owner(spec) for spec in om.fields)


def forgotten(store: Store, om: ObjectMap, stream: Stream, items: Iterable[InboxItem]) -> str | None:
    """One of these objects, if any, that we made and that the workspace does not know: it was restored from before."""
    ours = [item.external_id for item in items if item.payload and carries_our_key(om, item.payload["values"] or {})]
    if not ours:
        return None
    with store.read() as tx:
        known = tx.known_as(om.system, stream.name, ours)
    return next((id for id in ours if id not in known), None)


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


def unread(link: Link) -> dict[str, Any] | None:
    """What stays of a making whose object went before it was read: whose it became there, should it come back."""
    made = (link.sent or {}).get("made")
    return {"sure": True, "values": {}, "known": {}, "made": made} if made else None


def _is_owner(spec: FieldMap) -> bool:
    wanted = spec.lens.spec
    return spec.reads and (wanted.type, wanted.entity) == ("ref", "user")
