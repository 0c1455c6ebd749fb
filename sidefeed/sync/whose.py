"""In whose feed a record is created, where a system keeps an object once for each person: ``who`` of the mapping.

It says where a new object is made, and nothing else. What was matched or made already is kept up to date wherever it
lies, and stays where it lies when the record changes hands: somebody may have written in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from weakref import WeakKeyDictionary

from sidefeed.connector import Stream
from sidefeed.mapping import ObjectMap
from sidefeed.mapping.values import referred
from sidefeed.sync.attribution import open_deals
from sidefeed.workspace import RecordState, Store, Transaction

_PEOPLE: WeakKeyDictionary[Store, tuple[int, Mapping[str, frozenset[str]]]] = WeakKeyDictionary()
"""The people of everybody's open deals as of a revision: hundreds of mailboxes ask for the same."""


class Whose:
    """Which records may be created in one feed: any, where it is nobody's own."""

    def __init__(self, tx: Transaction, om: ObjectMap, stream: Stream) -> None:
        self._tx = tx
        self._om = om
        self._stream = stream
        self._who = om.who or ("owner" if om.owned else "all")
        self._anybodys = not stream.partition or self._who == "all"

    @cached_property
    def _person(self) -> str | None:
        """Whose feed it is; None where nobody is known by its name."""
        name = self._stream.partition
        return self._tx.records_known_as(self._om.system, "user", [name]).get(name)

    def holds(self, state: RecordState) -> bool:
        """Whether a record that has no object in this feed may get one."""
        if self._anybodys:
            return True
        if self._person is None:
            return False
        return self._owns(state) or (self._who == "deals" and self._on_a_deal(state))

    def more(self, since: int) -> list[str]:
        """Records that did not change after a revision, and that a deal or an account which did brings here."""
        if self._anybodys or self._who != "deals" or self._person is None:
            return []
        deals, accounts = (
            {state.id: state for state in self._tx.records(self._tx.behind(
                self._om.system, self._stream.name, entity, since=since)).values() if self._owns(state)}
            for entity in ("opportunity", "account"))
        found = [one for deal in deals.values() for one in referred(deal.values.get("contacts"))]
        if accounts:
            found += [state.id for state in self._tx.each_record(self._om.entity)
                      if accounts.keys() & set(referred(state.values.get("account")))]
        return found

    def _owns(self, state: RecordState) -> bool:
        return self._person in referred(state.values.get("owner"))

    def _on_a_deal(self, state: RecordState) -> bool:
        accounts = self._tx.records(referred(state.values.get("account")))
        return any(self._owns(account) for account in accounts.values()) or (
            state.id in _people(self._tx).get(self._person or "", ()))


def _people(tx: Transaction) -> Mapping[str, frozenset[str]]:
    """Owner -> the contacts of that person's open deals."""
    known = _PEOPLE.get(tx.store)
    if known is None or known[0] != tx.last_rev():
        found: dict[str, set[str]] = {}
        for deal in open_deals(tx):
            for owner in referred(deal.values.get("owner")):
                found.setdefault(owner, set()).update(referred(deal.values.get("contacts")))
        known = _PEOPLE[tx.store] = tx.last_rev(), {owner: frozenset(own) for owner, own in found.items()}
    return known[1]
