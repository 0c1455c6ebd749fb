"""Random histories over the real engine and a real SQLite file: what people do, in any order, with crashes in between.

The ledger stands outside the engine. It knows every value a person typed, in which system, and what that person saw
when typing; an update is lost when its value is neither current, nor in a conflict, nor overwritten by somebody who had
seen it. Identity and content vary independently, values are unique tokens, the feed lags by a run, stamps are coarse,
people act during runs, answers are lost after the effect, and the engine is thrown away at every crash.
"""

from __future__ import annotations

import atexit
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from sidefeed.sync import Engine, GuardTripped
from sidefeed.sync.scope import OUT
from sidefeed.workspace import DELETED, Draft, Store, clock
from tests.sync.world import Applied, Killed, Row, World, mappings

HAPPENED: Counter[str] = Counter()


@dataclass
class Typed:
    """One value a person typed (or a deletion), with what that person saw."""

    field: str
    value: Any
    seen: frozenset[Any]


@dataclass
class Ledger:
    """What people did, by deal (known by the token in its first name)."""

    typed: dict[str, list[Typed]] = field(default_factory=dict)

    def note(self, deal: str, field_name: str, value: Any, seen: Any) -> None:
        self.typed.setdefault(deal, []).append(Typed(field_name, value, frozenset(seen)))

    def lost(self, deal: str, field_name: str, current: set[Any]) -> list[Any]:
        """Values of a field that nobody who overwrote them had seen, and that are not on show."""
        mine = self.typed.get(deal, [])
        seen_by_others = {value for one in mine if one.field in (field_name, DELETED) for value in one.seen}
        return [one.value for one in mine
                if one.field == field_name and one.value not in current and one.value not in seen_by_others]


@cache
def _new_workspace() -> Path:
    """A workspace nobody has used: one migration for all histories of a process."""
    folder = Path(tempfile.mkdtemp(prefix="new-workspace-"))
    atexit.register(shutil.rmtree, folder)
    Store.open(folder / "workspace.db").close()
    return folder / "workspace.db"


class Chance:
    """The random part of record ids, the same in each telling of a history: their order decides who comes first."""

    def __init__(self) -> None:
        self.randbits = random.Random(0).getrandbits


class Histories(RuleBasedStateMachine):
    """Two systems, a workspace, people everywhere."""

    options: dict[str, Any] = {}
    ask = {"Amount": "amount", "Name": "name"}
    """Fields whose conflicts only people decide: nothing typed into them may vanish."""
    confirms = False
    """Whether people change the mapping, and confirm it with the next sync."""

    def __init__(self) -> None:
        super().__init__()
        self.chance = pytest.MonkeyPatch()
        self.chance.setattr(clock, "secrets", Chance())
        self.folder = Path(tempfile.mkdtemp(prefix="histories-"))
        self.world = World(**self.options)
        self.mappings = mappings(self.folder / "mappings")
        self.place = self.workspace()
        self.store = Store.open(self.place, now=self.world.now)
        self.ledger = Ledger()
        self.tokens = 0
        self.deals: list[str] = []
        self.deal_of: dict[tuple[str, str], str] = {}
        self.kept: dict[str, set[Any]] = {}  # why a deal that somebody deleted lives: decisions, and what was restored
        self.again = 0  # how often a person let something live that may have to be made once more elsewhere
        self.away: dict[str, set[str]] = {"a": set(), "b": set()}

    def workspace(self) -> str | Path:
        return shutil.copy(_new_workspace(), self.folder / "workspace.db")

    def teardown(self) -> None:
        try:
            self.quiet_point()
            self.person_decides(0)  # what is still in dispute at the end comes to rest by a decision, too
            self.quiet_point()
        finally:
            self.chance.undo()
            self.store.close()
            shutil.rmtree(self.folder)

    def token(self, prefix: str) -> str:
        self.tokens += 1
        return f"{prefix}{self.tokens}"

    # -- people -------------------------------------------------------------------------------------------------

    @initialize(synced=st.booleans())
    def an_office_at_work(self, synced: bool) -> None:
        self.person_creates_account("a", True)
        for system in "ab":
            fake = self.world.systems[system]
            name, amount = self.token("deal"), str(self._next() * 1000)
            id = fake.person_creates("Deal", {"Name": name, "Amount": amount,
                                              "AccountId": next(iter(fake.live("Account")))})
            self.deals.append(name)
            self.deal_of[(system, id)] = name
            self.ledger.note(name, "Name", name, ())
            self.ledger.note(name, "Amount", amount, ())
        if synced:
            self.run()
            self.run()

    @rule(system=st.sampled_from("ab"), both=st.booleans())
    def person_creates_account(self, system: str, both: bool) -> None:
        domain = self.token("d") + ".test"
        self.world.systems[system].person_creates("Account", {"Name": self.token("acc"), "Domain": domain})
        if both:
            other = "b" if system == "a" else "a"
            self.world.systems[other].person_creates("Account", {"Name": self.token("acc"), "Domain": domain})

    @rule(system=st.sampled_from("ab"), data=st.data())
    def person_creates_deal(self, system: str, data: st.DataObject) -> None:
        fake = self.world.systems[system]
        name, amount = self.token("deal"), str(self.tokens * 1000)
        accounts = sorted(fake.live("Account"))
        account = data.draw(st.sampled_from(accounts)) if accounts else None
        id = fake.person_creates("Deal", {"Name": name, "Amount": amount, "AccountId": account})
        self.deals.append(name)
        self.deal_of[(system, id)] = name
        self.ledger.note(name, "Name", name, ())
        self.ledger.note(name, "Amount", amount, ())

    def _keep(self, deal: str, why: Any) -> None:
        self.kept.setdefault(deal, set()).add(why)

    def _known_deals(self, system: str) -> dict[str, str]:
        """Live deals of a system by their id, told apart by the key that links them (an independent join)."""
        found = {}
        for id, row in self.world.systems[system].rows["Deal"].items():
            if row.deleted:
                continue
            deal = self.deal_of.get((system, id)) or self._by_key(row.values.get("key"))
            if deal is not None:
                found[id] = deal
        return found

    def _by_key(self, key: str | None) -> str | None:
        if key is None:
            return None
        record = key.rpartition(":")[0]
        with self.store.read() as tx:
            roles = tx.roles_of(record)
        return next((self.deal_of[(system, id)] for system, object, id, _role in roles
                     if (system, id) in self.deal_of and object == "Deal"), None)

    def _edit(self, system: str, pick: int, name: str) -> None:
        known = self._known_deals(system)
        if not known:
            return
        id = sorted(known)[pick % len(known)]
        self._type(system, id, known[id], name)

    def _type(self, system: str, id: str, deal: str, name: str) -> None:
        row = self.world.systems[system].rows["Deal"][id]
        value = self.new_value(system, name)
        if name in self.ask:
            self.ledger.note(deal, name, self.said(system, name, value), self.shown(system, name, row.values[name]))
        self.world.systems[system].person_edits("Deal", id, {name: value}, actor=f"person-{system}")

    def new_value(self, system: str, name: str) -> str:
        """What a person types into a field, as the system holds it."""
        return str(10_000_000 + self._next()) if name == "Amount" else self.token(name.lower())

    def said(self, system: str, name: str, value: Any) -> Any:
        """What a raw value means to people, as the ledger knows it."""
        return value

    def shown(self, system: str, name: str, value: Any) -> set[Any]:
        """What somebody who looks at a raw value has seen."""
        return {self.said(system, name, value)}

    def meant(self, tx: Any, name: str, value: Any) -> Any:
        """The same of a value of the workspace."""
        return value

    def column(self, system: str, name: str) -> str:
        """Where a system keeps a field of a deal."""
        return name

    def _next(self) -> int:
        self.tokens += 1
        return self.tokens

    @rule(system=st.sampled_from("ab"), pick=st.integers(0, 5), name=st.sampled_from(["Amount", "Name", "NextStep"]))
    def person_edits(self, system: str, pick: int, name: str) -> None:
        self._edit(system, pick, name)

    @rule(system=st.sampled_from("ab"), pick=st.integers(0, 5), name=st.sampled_from(["Name", "Phone"]))
    def person_edits_account(self, system: str, pick: int, name: str) -> None:
        fake = self.world.systems[system]
        live = sorted(fake.live("Account"))
        fake.person_edits("Account", live[pick % len(live)], {name: self.token(name.lower())}, actor=f"person-{system}")
        HAPPENED["renamed"] += 1

    @rule(pick=st.integers(0, 5))
    def person_edits_in_both(self, pick: int) -> None:
        self._edit("a", pick, "Amount")
        self._edit("b", pick, "Amount")

    @rule(pick=st.integers(0, 5))
    def person_edits_in_workspace(self, pick: int) -> None:
        with self.store.write() as tx:
            states = sorted((s for s in tx.each_record("opportunity") if not s.deleted), key=lambda s: s.id)
            if not states:
                return
            state = states[pick % len(states)]
            deal = self._deal_of_record(tx, state.id)
            if deal is None:
                return
            value = str(20_000_000 + self._next())
            seen = {head.value for head in state.conflicts.get("amount", ())} or {state.values.get("amount")}
            self.ledger.note(deal, "Amount", value, seen)
            tx.append([Draft("opportunity", state.id, {"amount": value}, "rep", "workspace")])

    def _deal_of_record(self, tx: Any, record: str) -> str | None:
        return next((self.deal_of[(system, id)] for system, object, id, _role in tx.roles_of(record)
                     if (system, id) in self.deal_of and object == "Deal"), None)

    @rule(system=st.sampled_from("ab"), pick=st.integers(0, 5))
    def person_deletes(self, system: str, pick: int) -> None:
        known = {id: deal for id, deal in self._known_deals(system).items() if id not in self.away[system]}
        if not known:
            return
        id = sorted(known)[pick % len(known)]
        row = self.world.systems[system].rows["Deal"][id]
        with self.store.read() as tx:
            record, role = tx.known_as(system, "Deal", [id]).get(id, ("", ""))
            out = any((link.system, link.external_id, link.state) == (system, id, OUT) for link in tx.links_of(record))
        self.ledger.note(known[id], DELETED, True, {
            self.said(system, name, value) for name, value in row.values.items() if value is not None})
        if any(deal == known[id] for other, deal in known.items() if other != id):
            self._keep(known[id], "copy")  # an old copy, restored beside a newer one: the deal lives on in the other
        elif out:
            self._keep(known[id], "apart")  # nobody read that it is in scope again, so the other copy stays as it was
        elif role == "gone":
            self.kept.get(known[id], set()).discard((system, id))  # nobody read that it was restored
        else:
            self.kept.pop(known[id], None)
        if row.actor == "sidefeed" and not role:
            HAPPENED["deleted unheard of"] += 1  # a run died before it learnt that it had made this
        self.world.systems[system].person_deletes("Deal", id)
        HAPPENED["delete"] += 1

    @rule(system=st.sampled_from("ab"), pick=st.integers(0, 5))
    def person_restores(self, system: str, pick: int) -> None:
        rows = self.world.systems[system].rows["Deal"]
        gone = sorted(id for id, row in rows.items() if row.deleted)
        if gone:
            id = gone[pick % len(gone)]
            deal = self.deal_of.get((system, id)) or self._by_key(rows[id].values.get("key"))
            if deal is not None:
                self._keep(deal, (system, id))
            self.world.systems[system].person_restores("Deal", id)
            self.again += 1
            HAPPENED["restore"] += 1

    @rule(system=st.sampled_from("ab"), pick=st.integers(0, 5))
    def person_merges_accounts(self, system: str, pick: int) -> None:
        live = sorted(self.world.systems[system].live("Account"))
        if len(live) >= 2:
            winner, loser = live[pick % len(live)], live[(pick + 1) % len(live)]
            self.world.systems[system].person_merges("Account", winner, loser)
            HAPPENED["merge"] += 1

    @rule(pick=st.integers(0, 5))
    def person_decides(self, pick: int) -> None:
        with self.store.write() as tx:
            states = tx.conflicted("opportunity")
            if not states:
                return
            state = states[pick % len(states)]
            name = sorted(state.conflicts)[0]
            heads = state.conflicts[name]
            deal = self._deal_of_record(tx, state.id)
            raw = {name: raw for raw, name in self.ask.items()}.get(name)
            if deal and name == DELETED and heads[-1].value is False:
                self._keep(deal, "decided")
            if deal and raw:
                self.ledger.note(deal, raw, self.meant(tx, name, heads[-1].value),
                                 {self.meant(tx, name, head.value) for head in heads})
            tx.append([Draft("opportunity", state.id, {name: heads[-1].value}, "rep", "workspace")])
            self.again += 1
            HAPPENED["decision"] += 1

    @rule(seconds=st.sampled_from([0, 1, 5]))
    def time_passes(self, seconds: int) -> None:
        self.world.tick += seconds

    @rule(system=st.sampled_from("ab"), lag=st.sampled_from([0, 0, 20]))
    def feed_lags(self, system: str, lag: int) -> None:
        self.world.systems[system].next_lag = lag

    # -- runs ---------------------------------------------------------------------------------------------------

    def run(self, seconds: int = 10) -> Any:
        self.world.tick += seconds
        engine = Engine(self.store, self.mappings, dict(self.world.systems))
        report = engine.sync(approve=True, confirm_mapping=self.confirms)
        assert not report.failed, report.failed
        HAPPENED["stale"] += report.counts.get("stale", 0)
        HAPPENED["matched"] += report.counts.get("matched", 0)
        HAPPENED["conflict"] += report.counts.get("conflicts", 0)
        HAPPENED["recovered"] += report.counts.get("recovered", 0)
        HAPPENED["unknown"] += report.counts.get("unknown", 0)
        HAPPENED["read anew"] += report.counts.get("read_anew", 0)
        HAPPENED["written anew"] += report.counts.get("to_write_anew", 0)
        return report

    @rule()
    def sync(self) -> None:
        self.run()

    @rule(system=st.sampled_from("ab"))
    def sync_with_a_lost_answer(self, system: str) -> None:
        self._edit("b" if system == "a" else "a", 0, "Amount")
        self.world.systems[system].lose_answer = 1
        self.run()
        self.world.systems[system].lose_answer = 0

    @rule(at=st.integers(1, 12), phase=st.sampled_from(["before", "after"]))
    def sync_dies(self, at: int, phase: str) -> None:
        self._edit("a", at, "Amount")
        self._edit("b", at, "NextStep")
        start = self.world.calls

        def die(number: int, now: str, _what: str) -> None:
            if number - start == at and now == phase:
                raise Killed

        self._run_and_survive(die)

    @rule(at=st.integers(1, 12), phase=st.sampled_from(["before", "after"]), system=st.sampled_from("ab"),
          pick=st.integers(0, 5), name=st.sampled_from(["Amount", "NextStep"]))
    def people_act_during_a_sync(self, at: int, phase: str, system: str, pick: int, name: str) -> None:
        self._edit("b" if system == "a" else "a", pick, name)
        start = self.world.calls

        def act(number: int, now: str, _what: str) -> None:
            if number - start == at and now == phase:
                self.world.on_call = None
                self._edit(system, pick, name)

        self._run_and_survive(act)

    def _run_and_survive(self, hook: Any) -> None:
        self.world.on_call = hook
        try:
            self.run()
        except Killed:
            HAPPENED["crash"] += 1
            self.store.close()
            self.store = Store.open(self.place, now=self.world.now)
            self.world.tick += 1000  # the dead run's lease ends
        except GuardTripped:
            raise
        finally:
            self.world.on_call = None

    # -- what must hold -----------------------------------------------------------------------------------------

    @rule()
    def quiet_point(self) -> None:
        """Nobody acts; after a few runs everything agrees, and a further run does nothing."""
        HAPPENED["quiet"] += 1
        for fake in self.world.systems.values():
            fake.next_lag = 0
        self.world.tick += 60
        for _ in range(6):
            report = self.run(seconds=60)
            if not (report.written or report.changes):
                break
        calls = self.world.calls
        last = self.run(seconds=60)
        assert self.world.calls - calls <= len(self.mappings.objects), f"a quiet run made {self.world.calls - calls} calls"
        assert last.written == {}, f"a quiet run wrote {last.written}"
        assert last.changes == {}, f"an echo was absorbed: {last.changes}"
        self.check_convergence()
        self.check_accounts()
        self.check_nothing_lost()
        self.check_nothing_came_back()
        self.check_base_truth()

    def check_convergence(self) -> None:
        a, b = self.world.systems["a"], self.world.systems["b"]
        with self.store.read() as tx:
            for state in tx.each_record("opportunity"):
                if state.merged_into is not None:
                    continue
                links = tx.links_of(state.id)
                live = {link.system: link.external_id for link in links if link.state == "live"}
                apart = {link.system for link in links if link.state == OUT  # deleted before anybody read that it came back
                         and self.world.systems[link.system].rows["Deal"][link.external_id or ""].deleted}
                if state.deleted:
                    assert not live, f"{state.id} is deleted but lives in {live}"
                    continue
                if DELETED in state.conflicts:
                    continue
                assert live.keys() | apart == {"a", "b"}, f"{state.id} is linked only in {live}"
                if apart:
                    continue
                for raw, name in (("Name", "name"), ("Amount", "amount"), ("NextStep", "next_step")):
                    if name in state.conflicts:
                        continue
                    shown = {a.rows["Deal"][live["a"]].values[self.column("a", raw)],
                             b.rows["Deal"][live["b"]].values[self.column("b", raw)], state.values.get(name)}
                    assert len(shown) == 1, f"{state.id} {name}: {shown}"
        for system, fake in self.world.systems.items():
            keys = Counter(row.values["key"] for row in fake.rows["Deal"].values()
                           if row.values["key"] and not row.deleted)
            assert all(number == 1 for number in keys.values()), f"{system} holds a duplicate: {keys}"
            created = sum(1 for (where, _id) in self.deal_of if where == system)
            ours = len(fake.rows["Deal"]) - created
            everywhere = len(self.deal_of)
            assert ours <= everywhere - created + self.again, f"{system}: {ours} made by us"

    def check_accounts(self) -> None:
        """Renamed here, merged there: what is left of each account is called the same everywhere."""
        with self.store.read() as tx:
            for state in tx.each_record("account"):
                if state.deleted or state.merged_into is not None or DELETED in state.conflicts:
                    continue
                live = {link.system: link.external_id for link in tx.links_of(state.id) if link.state == "live"}
                assert set(live) == {"a", "b"}, f"{state.id} is linked only in {live}"
                for raw, name in (("Name", "name"), ("Phone", "phone")):
                    shown = {self.world.systems[system].rows["Account"][id or ""].values[raw]
                             for system, id in live.items()} | {state.values.get(name)}
                    assert name in state.conflicts or len(shown) == 1, f"{state.id} {name}: {shown}"

    def check_nothing_lost(self) -> None:
        with self.store.read() as tx:
            for state in tx.each_record("opportunity"):
                deal = self._deal_of_record(tx, state.id)
                if deal is None or state.merged_into:
                    continue
                for raw, name in self.ask.items():
                    values = {head.value for head in state.conflicts.get(name, ())} | {state.values.get(name)}
                    current = {self.meant(tx, name, value) for value in values}
                    current |= {self.said(row.id[0], raw, row.values[raw]) for row in self._duplicates(tx, state.id)}
                    lost = self.ledger.lost(deal, raw, current)
                    assert not lost, f"{deal} {name}: {lost} lost; current {current}; {self.ledger.typed[deal]}"

    def _duplicates(self, tx: Any, record: str) -> list[Row]:
        """Live copies of a record beside the one that is linked: frozen, and listed for a person with what they hold."""
        rows = [self.world.systems[system].rows["Deal"][id] for system, object, id, role in tx.roles_of(record)
                if object == "Deal" and role == "duplicate"]
        return [row for row in rows if not row.deleted]

    def check_nothing_came_back(self) -> None:
        """What a person deleted lives only where people are asked, or where one of them decided that it lives."""
        deleted = {deal for deal, typed in self.ledger.typed.items() if any(one.field == DELETED for one in typed)}
        with self.store.read() as tx:
            for state in tx.each_record("opportunity"):
                deal = self._deal_of_record(tx, state.id)
                if deal not in deleted or self.kept.get(deal) or DELETED in state.conflicts:
                    continue
                living = [id for system, object, id, _role in tx.roles_of(state.id)
                          if object == "Deal" and not self.world.systems[system].rows["Deal"][id].deleted]
                assert living == [], f"{deal} was deleted and lives as {living}"

    def check_base_truth(self) -> None:
        with self.store.read() as tx:
            for name, fake in self.world.systems.items():
                for object in fake.rows:
                    known = tx.known_as(name, object, list(fake.live(object)))
                    records = [record for record, role in known.values() if role == "primary"]
                    bases = tx.bases(name, object, records)
                    for id, (record, role) in known.items():
                        if role == "primary":
                            values = fake.rows[object][id].values
                            unread = values.keys() - bases[record].keys()
                            assert not unread or self._refers_to_nothing_known(tx, name, values, unread), (
                                f"{name} {object} {id}: {unread} was never read")
                            assert {**bases[record], **{key: values[key] for key in unread}} == values, (
                                f"{name} {object} {id}")

    @staticmethod
    def _refers_to_nothing_known(tx: Any, system: str, values: Mapping[str, Any], unread: set[str]) -> bool:
        """Whether these are references to objects that were gone before anybody read them: the object waits for them."""
        parents = {"AccountId": "Account", "DealId": "Deal", "OwnerId": "User"}
        return all(key in parents and not tx.known_as(system, parents[key], [values[key]]) for key in unread)


class LateHistories(Histories):
    options = {"lag": 5, "coarse": 10}


class HistoryHistories(Histories):
    """Systems without a condition on writes, that keep a history instead."""

    options = {"conditional": False, "history": True}


class KeylessHistories(Histories):
    """Systems that make a second object with the same key, and may still be at work on a create nobody heard of."""

    options = {"unique": False}

    @rule(system=st.sampled_from("ab"), calls=st.integers(1, 40), edited=st.booleans())
    def sync_with_a_create_still_at_work(self, system: str, calls: int, edited: bool) -> None:
        other = "b" if system == "a" else "a"
        there = self.world.systems[other]
        self.person_creates_deal(other, Told(min(there.live("Account"))))
        made = next(reversed(there.rows["Deal"]))
        self.world.systems[system].late = calls
        self.run()
        self.world.systems[system].late = None
        if edited:
            self._type(other, made, self.deal_of[other, made], "Amount")
        self.run()
        HAPPENED["late"] += 1

    @rule()
    def quiet_point(self) -> None:
        self.world.tick += 700  # what was at work is done by then, or never was
        super().quiet_point()


class ScopeHistories(Histories):
    """Deals that leave the scope of a system and come back, and deals that are hidden from us for a while."""

    leaving = "unlink"

    def __init__(self) -> None:
        super().__init__()
        self.mappings = replace(self.mappings, objects=tuple(
            replace(om, scope={"Scope": ["in", None]}, leaving_scope=self.leaving) if om.object == "Deal" else om
            for om in self.mappings.objects))
        for fake in self.world.systems.values():
            fake.hides = True

    def _one(self, system: str, pick: int) -> str | None:
        known = sorted(self._known_deals(system))
        return known[pick % len(known)] if known else None

    @rule(system=st.sampled_from("ab"), pick=st.integers(0, 5))
    def leaves_scope(self, system: str, pick: int) -> None:
        if (id := self._one(system, pick)) is not None:
            self.away[system].add(id)
            self.world.systems[system].person_edits("Deal", id, {"Scope": "out"})
            HAPPENED["left scope"] += 1

    @rule(system=st.sampled_from("ab"), pick=st.integers(0, 5))
    def comes_back(self, system: str, pick: int) -> None:
        away = sorted(self.away[system])
        if away:
            self._bring_back(system, away[pick % len(away)])

    @rule(system=st.sampled_from("ab"), pick=st.integers(0, 5))
    def is_hidden_from_us(self, system: str, pick: int) -> None:
        if (id := self._one(system, pick)) is not None:
            self.away[system].add(id)
            self.world.systems[system].hidden.add(id)
            HAPPENED["hidden"] += 1

    def _bring_back(self, system: str, id: str) -> None:
        fake = self.world.systems[system]
        self.away[system].discard(id)
        fake.hidden.discard(id)
        if not fake.rows["Deal"][id].deleted:
            fake.person_edits("Deal", id, {"Scope": "in"})

    @rule()
    def quiet_point(self) -> None:
        """No deletion was inferred from what was out of sight; and once everything is back, all of it agrees."""
        self.run()
        self.run()
        self.check_no_deletion_was_inferred()
        for system in self.away:
            for id in sorted(self.away[system]):
                self._bring_back(system, id)
        super().quiet_point()

    def check_no_deletion_was_inferred(self) -> None:
        deleted = {deal for deal, typed in self.ledger.typed.items() if any(one.field == DELETED for one in typed)}
        for system, fake in self.world.systems.items():
            for one in fake.applied:
                if one.op == "delete" and one.object == "Deal":
                    deal = self.deal_of.get((system, one.id)) or self._by_key(one.after["key"])
                    assert deal in deleted, f"{deal} was deleted in {system}, and nobody had deleted it"


class FreezeHistories(ScopeHistories):
    """What leaves the scope of a system is written nowhere until it comes back."""

    leaving = "freeze"


class UndoHistories(Histories):
    """Runs that are taken back: an undo writes only what the run wrote, only as it was, and only where nobody was."""

    def __init__(self) -> None:
        super().__init__()
        self.finished: list[tuple[str, dict[str, list[Applied]]]] = []

    def run(self, seconds: int = 10) -> Any:
        marks = {name: len(fake.applied) for name, fake in self.world.systems.items()}
        report = super().run(seconds)
        self.finished.append((report.run, self._applied(marks)))
        return report

    def _applied(self, marks: dict[str, int]) -> dict[str, list[Applied]]:
        return {name: fake.applied[marks[name]:] for name, fake in self.world.systems.items()}

    @rule(back=st.integers(1, 3))
    def undo_an_earlier_run(self, back: int) -> None:
        if len(self.finished) >= back:
            self._undo(*self.finished[-back])

    @rule(pick=st.integers(0, 5), name=st.sampled_from(["Amount", "NextStep"]))
    def undo_a_run_at_once(self, pick: int, name: str) -> None:
        self._edit("a", pick, name)
        self.run()
        self.run()
        self._edit("b", pick, name)
        self.run()
        self._undo(*self.finished[-1])

    def _undo(self, run: str, wrote: dict[str, list[Applied]]) -> None:
        marks = {name: len(fake.applied) for name, fake in self.world.systems.items()}
        self.world.tick += 10
        done, report = Engine(self.store, self.mappings, dict(self.world.systems)).undo(run)
        assert not report.failed, report.failed
        undid = self._applied(marks)
        self.finished.append((report.run, undid))
        for system, applied in undid.items():
            for one in applied:
                self._check_one(system, one, wrote[system])
                HAPPENED[f"undo {one.op}"] += 1
        if not done.left:
            self._check_restored(wrote)

    def _check_one(self, system: str, one: Applied, wrote: list[Applied]) -> None:
        """I13: nothing changed since is touched, and what is written is what was there."""
        mine = [each for each in wrote if each.object == one.object and each.id == one.id]
        where = f"{system} {one.object} {one.id}"
        if one.op == "delete":
            assert mine and mine[0].op in ("create", "update"), f"{where} was deleted, and the run had not made it"
        elif one.op == "create":
            assert any(each.op == "delete" for each in wrote if each.object == one.object) or self._redone(wrote), where
        else:
            for name in [name for name in one.after if one.after[name] != one.before[name] and name != "key"]:
                cells = [(each.before.get(name), each.after[name]) for each in mine if each.op == "update"
                         and each.before.get(name) != each.after[name]]
                assert cells, f"{where} {name}: written by the undo, not by the run"
                assert one.after[name] == cells[0][0], f"{where} {name}: {one.after[name]} is not what was there"
                assert one.before[name] == cells[-1][1], f"{where} {name}: {one.before[name]} was written since"

    def _redone(self, wrote: list[Applied]) -> bool:
        return any(one.op == "delete" for one in wrote)

    def _check_restored(self, wrote: dict[str, list[Applied]]) -> None:
        for system, applied in wrote.items():
            for one in [each for each in applied if each.op == "update" and each.object == "Deal"]:
                row = self.world.systems[system].rows["Deal"][one.id]
                for name in [name for name in one.after if one.after[name] != one.before[name] and name != "key"]:
                    assert row.deleted or row.values[name] != one.after[name] or self._rewritten(applied, one, name), (
                        f"{system} {one.id} {name}: nothing was left, and it was not taken back")

    @staticmethod
    def _rewritten(applied: list[Applied], one: Applied, name: str) -> bool:
        """The run wrote the field more than once, and the last value is what was there at first."""
        cells = [each for each in applied if each.id == one.id and each.op == "update"]
        return cells[0].before[name] == one.after[name]

    @rule()
    def quiet_point(self) -> None:
        """After an undo the world is quiet too: what was taken back is not done again."""
        HAPPENED["quiet"] += 1
        for fake in self.world.systems.values():
            fake.next_lag = 0
        self.world.tick += 60
        for _ in range(6):
            report = self.run(seconds=60)
            if not (report.written or report.changes):
                break
        last = self.run(seconds=60)
        assert last.written == {} and last.changes == {}, f"{last.written} {last.changes}"
        self.check_base_truth()


def profile(examples: int, steps: int = 25) -> settings:
    return settings(max_examples=examples, stateful_step_count=steps, deadline=None, derandomize=True,
                    suppress_health_check=list(HealthCheck), print_blob=True)


DEV, CI = profile(8), profile(60)
FEWER = {"KeylessHistories": (2, 20), "FreezeHistories": (1, 12), "ScopeHistories": (4, 20), "UndoHistories": (4, 20)}
"""Kinds whose single steps are several runs: fewer examples, in every run and with ``-m slow``."""

KINDS = [Histories, LateHistories, HistoryHistories, KeylessHistories, ScopeHistories, FreezeHistories, UndoHistories]
kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


@kinds
def test_histories(kind: type[Histories]) -> None:
    few, _many = FEWER.get(kind.__name__, (0, 0))
    run_state_machine_as_test(kind, settings=profile(few) if few else DEV)  # type: ignore[no-untyped-call]


def what_few_histories_may_not_have(kind: type[Histories]) -> None:
    """Hypothesis draws from the constants of all modules that are loaded, so that of twenty histories none may have a
    death, as another constant has it: a lost answer, a death and a deletion are told by hand."""
    told = kind()
    try:
        told.an_office_at_work(synced=True)
        told.sync_with_a_lost_answer("b")
        told.sync_dies(2, "after")
        told.person_deletes("a", 0)
    finally:
        told.teardown()


@pytest.mark.slow
@kinds
def test_many_histories_and_they_reach_what_they_are_for(kind: type[Histories]) -> None:
    HAPPENED.clear()
    _few, many = FEWER.get(kind.__name__, (0, 0))
    run_state_machine_as_test(kind, settings=profile(many) if many else CI)  # type: ignore[no-untyped-call]
    if many:
        what_few_histories_may_not_have(kind)
    common = ["delete", "decision", "matched", "conflict", "unknown", "crash"]
    wanted = {"Histories": [*common, "stale", "recovered"], "LateHistories": [*common, "merge", "restore"],
              "HistoryHistories": [*common, "merge", "restore"], "ScopeHistories": ["left scope", "hidden", "conflict"],
              "KeylessHistories": [*common, "late", "recovered"],
              "FreezeHistories": ["left scope", "hidden", "conflict"],
              "UndoHistories": ["undo update", "conflict"]}[kind.__name__]
    blind = [what for what in wanted if not HAPPENED[what]]
    assert blind == [], f"no history had one of these: the harness is blind to it; {HAPPENED}"


class Told:
    """Stands for Hypothesis' data where a history is told again step by step."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def draw(self, _strategy: Any) -> Any:
        return self.value


def test_undoing_twice_after_deaths_touches_only_what_the_run_wrote() -> None:
    """A seed of the histories: an edit that waited for the next sync travelled in the write that took another field
    of the same object back."""
    told = UndoHistories()
    try:
        told.an_office_at_work(synced=False)
        told.quiet_point()
        told.person_decides(pick=3)
        told.person_edits_in_both(pick=3)
        told.sync_dies(at=1, phase="after")
        told.people_act_during_a_sync(at=12, name="Amount", phase="after", pick=2, system="b")
        told.undo_an_earlier_run(back=1)
        told.sync_dies(at=8, phase="after")
        told.undo_an_earlier_run(back=2)
        told.person_edits_in_both(pick=4)
        told.undo_an_earlier_run(back=2)
    finally:
        told.teardown()


def test_a_deal_deleted_after_a_death_and_many_merges_is_gone_everywhere() -> None:
    """A seed of the histories: what a dead run had read outlived the news that it was deleted."""
    told = Histories()
    try:
        told.an_office_at_work(synced=False)
        told.person_creates_account("b", True)
        told.sync_with_a_lost_answer(system="b")
        told.people_act_during_a_sync(at=9, name="NextStep", phase="before", pick=4, system="b")
        told.person_restores(pick=3, system="b")
        told.feed_lags(lag=20, system="a")
        told.person_edits(name="Amount", pick=5, system="b")
        told.people_act_during_a_sync(at=12, name="Amount", phase="before", pick=1, system="a")
        told.person_creates_deal(data=Told("bA0002"), system="b")
        told.time_passes(seconds=5)
        told.feed_lags(lag=0, system="a")
        told.person_decides(pick=1)
        told.person_deletes(pick=5, system="a")
        told.person_restores(pick=0, system="b")
        told.person_decides(pick=4)
        told.person_merges_accounts(pick=1, system="b")
        told.person_edits(name="NextStep", pick=2, system="b")
        told.person_restores(pick=0, system="a")
        told.person_edits(name="NextStep", pick=1, system="a")
        told.person_creates_deal(data=Told("aA0001"), system="a")
        told.person_merges_accounts(pick=3, system="b")
        told.sync_dies(at=4, phase="after")
        told.person_merges_accounts(pick=3, system="b")
        told.person_merges_accounts(pick=5, system="b")
        told.person_merges_accounts(pick=3, system="b")
        told.person_deletes(pick=2, system="a")
    finally:
        told.teardown()


def test_a_deal_deleted_on_both_sides_and_restored_on_one_lives_on_both() -> None:
    """A seed of the histories: the side whose deletion was told second never got the deal back."""
    told = LateHistories()
    try:
        told.an_office_at_work(synced=False)
        told.sync_with_a_lost_answer(system="b")
        told.person_deletes(pick=3, system="b")
        told.time_passes(seconds=5)
        told.person_deletes(pick=3, system="b")
        told.person_edits_in_both(pick=5)
        told.person_deletes(pick=0, system="a")
        told.people_act_during_a_sync(at=10, name="Amount", phase="before", pick=2, system="b")
        told.person_restores(pick=2, system="a")
    finally:
        told.teardown()


def test_an_edit_that_no_feed_has_told_yet_is_not_deleted_with_its_deal() -> None:
    """A seed of the histories: a deletion read nothing first, in a system without a condition on writes."""
    told = HistoryHistories()
    try:
        told.an_office_at_work(synced=False)
        told.people_act_during_a_sync(at=3, name="NextStep", phase="after", pick=3, system="a")
        told.feed_lags(lag=20, system="b")
        told.person_deletes(pick=1, system="a")
        told.sync_with_a_lost_answer(system="a")
    finally:
        told.teardown()


@pytest.mark.parametrize("then", ["edited", "deleted"])
def test_an_old_copy_restored_beside_the_one_that_replaced_it_is_listed_and_moves_nothing(then: str) -> None:
    """A seed of the histories: what is typed into the old copy stands there, and its deletion is not the deal's."""
    told = HistoryHistories()
    try:
        told.an_office_at_work(synced=True)
        told.person_deletes(pick=1, system="a")
        told.people_act_during_a_sync(at=6, name="NextStep", phase="after", pick=2, system="a")
        told.person_decides(pick=2)
        told.quiet_point()
        told.person_restores(pick=5, system="a")
        told.person_edits_in_both(pick=1)
        if then == "deleted":
            told.person_deletes(pick=1, system="a")
        told.quiet_point()
        live = told.world.systems["a"].live("Deal")
        assert sorted(live) == ["aD0001", *(["aD0002"] if then == "edited" else []), "aD0003"]
    finally:
        told.teardown()


def test_undoing_a_run_again_leaves_an_older_copy_that_a_person_restored_meanwhile() -> None:
    """A seed of the histories: the copy stood for the deal by then, and was deleted in place of what the run had made."""
    told = UndoHistories()
    try:
        told.an_office_at_work(synced=True)
        told.undo_an_earlier_run(back=2)
        told.sync()
        told.undo_an_earlier_run(back=2)
        told.undo_an_earlier_run(back=1)
        told.sync()
        told.undo_an_earlier_run(back=2)
        told.sync()
        told.person_restores(pick=5, system="b")
        told.undo_an_earlier_run(back=2)
        told.undo_an_earlier_run(back=3)
    finally:
        told.teardown()


def test_a_deal_deleted_elsewhere_while_it_was_out_of_scope_is_deleted_when_it_comes_back() -> None:
    """A seed of the histories: nobody had edited it meanwhile, and it lived on for good, linked with a deleted record."""
    told = ScopeHistories()
    try:
        told.an_office_at_work(synced=True)
        told.person_deletes(pick=2, system="a")
        told.leaves_scope(pick=1, system="b")
        told.quiet_point()
    finally:
        told.teardown()


def test_an_undo_leaves_what_was_deleted_since_and_says_so() -> None:
    """A seed of the histories: it told of a value put back in an object that the next sync deletes."""
    told = UndoHistories()
    try:
        told.an_office_at_work(synced=False)
        for _ in range(2):
            told.sync_with_a_lost_answer(system="b")
        told.sync()
        told.person_deletes(pick=0, system="a")
        told.undo_an_earlier_run(back=2)
    finally:
        told.teardown()


def test_a_deal_restored_and_deleted_again_between_two_syncs_is_as_deleted_as_before() -> None:
    """A seed of the histories: somebody had decided that it lives, having seen its deletion, and the ledger held a
    second deletion against that, of which no reading of the system could tell."""
    told = Histories()
    try:
        told.an_office_at_work(synced=True)
        told.feed_lags(lag=20, system="b")
        told.person_edits(name="Amount", pick=1, system="b")
        told.person_deletes(pick=0, system="a")
        told.sync()
        told.person_decides(pick=0)
        told.person_restores(pick=0, system="a")
        told.person_deletes(pick=0, system="a")
        told.quiet_point()
        assert len(told.world.systems["a"].live("Deal")) == len(told.world.systems["b"].live("Deal")) == 2
    finally:
        told.teardown()


def test_a_deal_restored_in_both_systems_and_deleted_again_in_one_at_once_lives_for_the_other() -> None:
    """A seed of the histories: in the system where it was deleted again, nobody had read that it was restored."""
    told = Histories()
    try:
        told.an_office_at_work(synced=True)
        told.person_deletes(pick=0, system="a")
        told.quiet_point()
        told.person_restores(pick=0, system="a")
        told.person_restores(pick=0, system="b")
        told.person_deletes(pick=0, system="a")
        told.quiet_point()
        assert len(told.world.systems["a"].live("Deal")) == len(told.world.systems["b"].live("Deal")) == 2
    finally:
        told.teardown()
