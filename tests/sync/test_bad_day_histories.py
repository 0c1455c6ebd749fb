"""Random histories of bad days: calls that fail in every way a server knows, values that are refused, cursors that are
lost; and beside them sets that people add to and take from.

While a day is bad nothing is asked of those it hits, and everything of the others. Once it is over, and what was refused
is asked again, everything agrees.
"""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import rule, run_state_machine_as_test

from sidefeed.connector import (
    AuthenticationFailed,
    ConnectorError,
    Gone,
    Invalid,
    Locked,
    OddAnswer,
    PermissionDenied,
    QuotaExhausted,
    RateLimited,
    Unavailable,
    Write,
)
from sidefeed.sync import Engine, quarantine
from sidefeed.workspace import DELETED
from tests.sync.test_histories import HAPPENED, Histories, profile

FAILURES: tuple[type[ConnectorError], ...] = (
    AuthenticationFailed, Gone, Invalid, OddAnswer, PermissionDenied, QuotaExhausted, RateLimited, Unavailable)


def odd(value: Any) -> bool:
    """Whether a value, or the token in a name, is of those that a system takes exception to today."""
    return str(value or 0)[-1] in "13579"


def refuses_amounts(_object: str, write: Write) -> str | None:
    return "Amount" if odd(write.values.get("Amount")) else None


def is_locked(_object: str, write: Write) -> ConnectorError | None:
    return Locked("somebody is writing it") if odd(write.external_id) else None


def refuses_rows(_object: str, write: Write) -> ConnectorError | None:
    return Invalid("this row cannot be read") if odd(write.values.get("Name")) else None


class BadDayHistories(Histories):
    """Failures before, during and after every call; refusals of fields, rows and batches; locks; lost cursors."""

    options = {"batch": 3}

    def __init__(self) -> None:
        super().__init__()
        self.bad = False
        self.added: dict[str, set[str]] = {}
        self.removed: dict[str, set[str]] = {}
        for fake in self.world.systems.values():
            fake.forgets = True

    def run(self, seconds: int = 10) -> Any:
        self.world.tick += seconds
        report = Engine(self.store, self.mappings, dict(self.world.systems)).sync(approve=True)
        assert self.bad or not report.failed, report.failed
        HAPPENED["failed"] += len(report.failed)
        for what in ("conflicts", "refused", "postponed", "unknown", "stale", "matched", "recovered"):
            HAPPENED[what.removesuffix("s")] += report.counts.get(what, 0)
        return report

    # -- bad days -------------------------------------------------------------------------------------------------

    @rule(system=st.sampled_from("ab"), good=st.integers(0, 12), times=st.integers(1, 3),
          kind=st.sampled_from(FAILURES), pick=st.integers(0, 5))
    def calls_fail(self, system: str, good: int, times: int, kind: type[ConnectorError], pick: int) -> None:
        """So many calls go well, and then so many fail, before they have any effect."""
        self._edit("b" if system == "a" else "a", pick, "Amount")
        self.bad = True
        self.world.systems[system].fates = [None] * good + [kind("a bad day")] * times
        self.run()
        HAPPENED[kind.__name__] += 1

    @rule(system=st.sampled_from("ab"), told=st.integers(0, 3), effect=st.booleans(), pick=st.integers(0, 5))
    def an_answer_breaks_off(self, system: str, told: int, effect: bool, pick: int) -> None:
        """Of a batch, the first outcomes are told; the rest took effect unheard, or was turned away for being too much."""
        for each in range(3):
            self._edit("b" if system == "a" else "a", pick + each, "Amount")
        self.bad = True
        self.world.systems[system].breaks_off = (told, effect)
        self.run()
        self.world.systems[system].breaks_off = None
        HAPPENED["broken off"] += 1

    @rule(system=st.sampled_from("ab"), how=st.sampled_from([refuses_amounts, refuses_rows, is_locked]))
    def a_system_refuses(self, system: str, how: Any) -> None:
        self.world.systems[system].refuse = lambda object, write: how(object, write) if object == "Deal" else None
        HAPPENED[how.__name__] += 1

    @rule(system=st.sampled_from("ab"))
    def one_row_spoils_its_batch(self, system: str) -> None:
        self.world.systems[system].poison = lambda object, write: object == "Deal" and odd(write.values.get("Amount"))
        HAPPENED["poison"] += 1

    @rule(system=st.sampled_from("ab"))
    def a_system_refuses_nothing_more(self, system: str) -> None:
        self.world.systems[system].refuse = lambda _object, _write: None
        self.world.systems[system].poison = lambda _object, _write: False

    @rule(system=st.sampled_from("ab"))
    def a_cursor_is_lost(self, system: str) -> None:
        self.world.systems[system].expired = {"Account", "Deal"}
        HAPPENED["cursor lost"] += 1

    @rule(system=st.sampled_from("ab"), pick=st.integers(0, 5))
    def a_deletion_is_only_missed(self, system: str, pick: int) -> None:
        """Deleted while a cursor is lost: the first reading after that does not tell of it."""
        self.person_deletes(system, pick)
        self.a_cursor_is_lost(system)

    # -- sets -------------------------------------------------------------------------------------------------------

    @rule(system=st.sampled_from("ab"), pick=st.integers(0, 5), more=st.booleans())
    def person_tags(self, system: str, pick: int, more: bool) -> None:
        known = self._known_deals(system)
        if not known:
            return
        id = sorted(known)[pick % len(known)]
        self._tag(system, id, known[id], more)

    @rule(pick=st.integers(0, 5), more=st.booleans())
    def two_people_tag_one_deal(self, pick: int, more: bool) -> None:
        """One adds to a set that both have seen, while the other adds to it, too, or takes from it."""
        here, there = ({deal: id for id, deal in self._known_deals(system).items()} for system in "ab")
        both = sorted(here.keys() & there.keys())
        if not both:
            return
        deal = both[pick % len(both)]
        if not self._tags("b", there[deal]):
            self._tag("b", there[deal], deal, True)
            self.run()
            self.run()
        self._tag("a", here[deal], deal, True)
        self._tag("b", there[deal], deal, more)
        HAPPENED["tagged by two"] += 1

    def _tag(self, system: str, id: str, deal: str, more: bool) -> None:
        if self.world.systems[system].rows["Deal"][id].deleted:
            return
        tags = self._tags(system, id)
        if more or not tags:
            self.added.setdefault(deal, set()).add(tag := self.token("tag"))
            tags = {*tags, tag}
        else:
            self.removed.setdefault(deal, set()).add(tag := min(tags))
            tags = tags - {tag}
            HAPPENED["untagged"] += 1
        self.world.systems[system].person_edits("Deal", id, {"Tags": ";".join(sorted(tags)) or None})

    def _tags(self, system: str, id: str) -> set[str]:
        return set((self.world.systems[system].rows["Deal"][id].values["Tags"] or "").split(";")) - {""}

    # -- what must hold -----------------------------------------------------------------------------------------------

    @rule()
    def quiet_point(self) -> None:
        """While some are refused the others agree; asked again after the day is over, all agree."""
        for fake in self.world.systems.values():
            fake.fates.clear()
        self.bad = False
        self.run()
        for _ in range(3):
            self.run(seconds=60)
        self.check_one_holds_back_no_other()
        for system in self.world.systems:
            self.a_system_refuses_nothing_more(system)
        quarantine.retry(self.store)
        super().quiet_point()
        self.check_tags()
        self.check_census()

    def check_one_holds_back_no_other(self) -> None:
        """I7: of what nobody refuses, nothing waits."""
        with self.store.read() as tx:
            refused = {row["record"] for row in tx.refused()}
            for state in tx.each_record("opportunity"):
                links = {link.system: link for link in tx.links_of(state.id) if link.state == "live"}
                if state.id in refused or state.deleted or state.merged_into or DELETED in state.conflicts:
                    continue
                assert set(links) == {"a", "b"}, f"{state.id} is held back: {links}"
                for name in [name for name in ("Amount", "NextStep") if self.ask.get(name) not in state.conflicts]:
                    shown = {str(self.world.systems[system].rows["Deal"][link.external_id or ""].values[name])
                             for system, link in links.items()}
                    assert len(shown) == 1, f"{state.id} {name} is held back: {shown}"

    def check_tags(self) -> None:
        """What anybody put into a set is there, unless somebody took it out, and nothing else is."""
        with self.store.read() as tx:
            for state in tx.each_record("opportunity"):
                deal = self._deal_of_record(tx, state.id)
                if deal is None or state.deleted or DELETED in state.conflicts or self._duplicates(tx, state.id):
                    continue
                wanted = self.added.get(deal, set()) - self.removed.get(deal, set())
                for link in [link for link in tx.links_of(state.id) if link.object == "Deal"]:
                    held = self._tags(link.system, link.external_id or "")
                    assert held == wanted, f"{deal} {link.system}: {held ^ wanted} of {wanted}"

    def check_census(self) -> None:
        """I16, as it is looked at in production: the census finds nothing."""
        for found in Engine(self.store, self.mappings, dict(self.world.systems)).census():
            assert not found.failed and not found.differences, found


def test_bad_day_histories() -> None:
    run_state_machine_as_test(BadDayHistories, settings=profile(2, 8))  # type: ignore[no-untyped-call]


def a_bad_day_of_each_kind() -> None:
    """Of fifteen random histories none may have one of these, as chance has it; here each is told, one after another."""
    for each, kind in enumerate(FAILURES):
        told = BadDayHistories()
        try:
            told.an_office_at_work(synced=True)
            told.calls_fail("b", 1, 2, kind, 0)
            told.two_people_tag_one_deal(0, True)
            told.calls_fail("a", 3, 1, kind, 1)
            told.two_people_tag_one_deal(1, False)
            told.an_answer_breaks_off("b", 1, True, 0)
            told.a_system_refuses("b", (refuses_amounts, is_locked)[each % 2])
            for pick in range(4):
                told.person_edits("a", pick % 2, "Amount")
                told.sync()
            told.a_cursor_is_lost("a")
            told.one_row_spoils_its_batch("a")
            told.person_deletes("a", 0)
        finally:
            told.teardown()


@pytest.mark.slow
def test_many_bad_day_histories_and_they_reach_what_they_are_for() -> None:
    HAPPENED.clear()
    run_state_machine_as_test(BadDayHistories, settings=profile(15))  # type: ignore[no-untyped-call]
    a_bad_day_of_each_kind()
    wanted = ["failed", "refused", "postponed", "unknown", "broken off", "poison", "cursor lost", "tagged by two", "delete"]
    blind = [what for what in wanted if not HAPPENED[what]]
    assert blind == [], f"no history had one of these: the harness is blind to it; {HAPPENED}"
