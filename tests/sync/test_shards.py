"""A calendar system in parts, side by side: the same as in one go, on both databases, whatever else is at work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.domino import DominoConnector
from sandbox.domino import DominoServer
from sidefeed.mapping import load
from sidefeed.sync import Report
from sidefeed.sync.approval import waiting_runs
from sidefeed.sync.engine import Engine
from sidefeed.sync.guard import GuardTripped
from sidefeed.sync.shards import Shard, head, leading, mailboxes_of, split
from sidefeed.workspace import Draft, LeaseHeld, Store
from tests.connectors.domino_office import NOW, meeting, with_people

PEOPLE = [f"rep{number}@corp.example" for number in range(4)]
OWN, SHARED = 2, 9
MAPPINGS = load(Path(__file__).resolve().parents[2] / "mappings")


@pytest.fixture(scope="module")
def server() -> Iterator[DominoServer]:
    """Four reps with meetings of their own, and nine that stand in every calendar."""
    with DominoServer(control=False) as running:
        running.clock.fix(NOW)
        for person in PEOPLE:
            running.add_mail_file(person)
        for number in range(SHARED):
            everybody = with_people(PEOPLE[0], *PEOPLE[1:], "zoe@acme.example")
            for person in PEOPLE:
                running.save(person, {**meeting(f"Shared {number}", f"2026-11-{24 + number % 4}", f"{8 + number % 9:02d}:30"),
                                      **everybody, "id": f"shared-{number}@corp.example"})
        for person in PEOPLE:
            for number in range(OWN):
                running.save(person, {**meeting(f"Own {number}", f"2026-12-0{number + 1}"), **with_people(person, "ito@acme.example")})
        running.clock.move(seconds=10)
        running.save_snapshot()
        yield running
        assert running.crashes == []


@pytest.fixture
def quiet(server: DominoServer) -> DominoServer:
    server.restore_snapshot()
    server.faults.clear()
    server.on_request = None
    return server


@pytest.fixture
def place(quiet: DominoServer, workspace: str | Path) -> str | Path:
    """A workspace that knows the customers, so that meetings with them are records."""
    return knowing(workspace)


def knowing(place: str | Path) -> str | Path:
    store = Store.open(place)
    store.natural_keys = Engine(store, MAPPINGS, {}).store.natural_keys
    with store.write() as tx:
        tx.append([Draft("contact", tx.new_id(), {"email": f"{name}@acme.example", "last_name": name}, "ann", "workspace")
                   for name in ("zoe", "ito")])
    store.close()
    return place


class Worker:
    """One process of many: a store and a connector of its own on one workspace."""

    def __init__(self, server: DominoServer, place: str | Path) -> None:
        self.store = Store.open(place, now=server.clock.now)
        info = server.connection_info()
        self.connector = DominoConnector.from_settings(
            {"url": server.url, "username": info["username"], "password": info["password"], "mailboxes": PEOPLE},
            clock=server.clock.now)
        self.engine = Engine(self.store, MAPPINGS, {"domino": self.connector})

    def close(self) -> None:
        self.connector.close()
        self.store.close()


def in_parts(server: DominoServer, place: str | Path, number: int) -> dict[str, Report | Exception]:
    """One sync in parts, each in a thread with a worker of its own, as the flow does it."""
    told: dict[str, Report | Exception] = {}
    lead = Worker(server, place)

    def work(part: Shard) -> None:
        worker = Worker(server, place)
        try:
            told[part.name] = replace(worker.engine, shard=part).sync(["domino"])
        except Exception as error:
            told[part.name] = error
        finally:
            worker.close()

    with leading(lead.store, "domino") as name:
        work(head(name))
        parts = split(mailboxes_of(MAPPINGS, "domino", lead.connector), number, name)
        threads = [threading.Thread(target=work, args=(part,)) for part in parts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    lead.close()
    return told


def reports(told: dict[str, Report | Exception]) -> Report:
    found = [one for one in told.values() if isinstance(one, Report)]
    assert len(found) == len(told), told
    whole = found[0]
    for one in found[1:]:
        whole.add(one)
    return whole


def held(place: str | Path, server: DominoServer) -> dict[str, Any]:
    store = Store.open(place, now=server.clock.now)
    try:
        with store.read() as tx:
            meetings = sorted((str(state.values["key"]), str(state.values.get("subject")), len(state.values.get("attendees") or ()))
                              for state in tx.each_record("meeting"))
            cursors = {person: tx.cursor("domino", f"calendar/{person}").position for person in PEOPLE}
            links = {person: tx.count_links("domino", f"calendar/{person}") for person in PEOPLE}
            leases = [name for name in ("sync:domino", "sync:domino/1/2", "sync:domino/head") if tx.lease_ends(name)]
            return {"meetings": meetings, "cursors": cursors, "links": links, "users": len(list(tx.each_record("user"))),
                    "leases": leases, "inbox": [one for one in PEOPLE if tx.inbox_now("domino", f"calendar/{one}")]}
    finally:
        store.close()


@pytest.mark.slow
def test_parts_side_by_side_end_as_one_run_does(quiet: DominoServer, place: str | Path, tmp_path: Path) -> None:
    whole = reports(in_parts(quiet, place, 2))
    one = Worker(quiet, knowing(tmp_path / "one.db"))
    alone = one.engine.sync(["domino"])
    one.close()

    found = held(place, quiet)
    assert found == held(tmp_path / "one.db", quiet)
    assert len(found["meetings"]) == SHARED + OWN * len(PEOPLE), "a meeting in four calendars is one record"
    assert {people for _key, subject, people in found["meetings"] if subject.startswith("Shared")} == {len(PEOPLE) + 1}
    assert all(found["cursors"].values()) and set(found["links"].values()) == {SHARED + OWN}
    assert found["leases"] == [] and found["inbox"] == [] and found["users"] == len(PEOPLE)
    assert whole.counts["captured"] == alone.counts["captured"]

    again = reports(in_parts(quiet, place, 3))
    assert "captured" not in again.counts and "written" not in again.counts, "cursors are the mailboxes' own, not the parts'"


@pytest.mark.slow
def test_a_part_that_fails_holds_back_no_other(quiet: DominoServer, place: str | Path, tmp_path: Path) -> None:
    for person in PEOPLE[::2]:
        quiet.condition("access_denied", mailbox=person)
    whole = reports(in_parts(quiet, place, 2))
    one = Worker(quiet, knowing(tmp_path / "one.db"))
    alone = one.engine.sync(["domino"])
    one.close()
    found = held(place, quiet)
    assert found == held(tmp_path / "one.db", quiet) and whole.failed == alone.failed
    assert set(whole.failed) == {f"domino calendar/{person}" for person in PEOPLE[::2]}
    assert {person for person, cursor in found["cursors"].items() if cursor} == set(PEOPLE) - set(PEOPLE[::2])


@pytest.mark.slow
def test_a_part_that_a_guard_stops_waits_and_the_others_go_on(quiet: DominoServer, place: str | Path) -> None:
    reports(in_parts(quiet, place, 2))
    file = quiet.mail_file(PEOPLE[1])
    file.entries.clear()
    quiet.save(PEOPLE[0], {**meeting("New"), **with_people(PEOPLE[0], "ito@acme.example")})
    quiet.clock.move(seconds=10)
    told = in_parts(quiet, place, 2)
    assert [type(one) for one in told.values() if not isinstance(one, Report)] == [GuardTripped]
    assert any(subject == "New" for _key, subject, _people in held(place, quiet)["meetings"])
    store = Store.open(place, now=quiet.clock.now)
    with store.read() as tx:
        (waiting,) = waiting_runs(tx)
    assert waiting["what"] == "sync domino part 2/2"
    worker = Worker(quiet, place)
    worker.engine.approve(waiting["id"])
    worker.close()
    with store.read() as tx:
        assert waiting_runs(tx) == []
    store.close()
    assert held(place, quiet)["links"][PEOPLE[1]] == 0


@pytest.mark.slow
def test_nobody_else_works_on_the_system_meanwhile(quiet: DominoServer, place: str | Path) -> None:
    refused: list[Exception] = []

    def meanwhile(_ordinal: int, request: Any, when: str) -> None:
        if refused or when != "before":
            return
        other = Worker(quiet, place)
        for attempt in (lambda: other.engine.sync(["domino"]), lambda: leading(other.store, "domino").__enter__()):
            refused.append(error_of(attempt))
        other.close()

    quiet.on_request = meanwhile
    reports(in_parts(quiet, place, 2))
    assert [type(one) for one in refused] == [LeaseHeld, LeaseHeld]
    assert "in parts" in str(refused[0])


@pytest.mark.slow
def test_a_long_part_keeps_the_leads_lease_too(quiet: DominoServer, tmp_path: Path) -> None:
    worker = Worker(quiet, tmp_path / "w.db")
    ends: list[bool] = []

    def slow(_ordinal: int, _request: Any, when: str) -> None:
        if when == "before":
            quiet.clock.move(seconds=30)
            with worker.store.read() as tx:
                ends.append(all((left := tx.lease_ends(name)) is not None and left > quiet.clock.now()
                                for name in ("sync:domino", "sync:domino/1/1")))

    with leading(worker.store, "domino") as lead:
        (part,) = split(PEOPLE, 1, lead)
        quiet.on_request = slow
        replace(worker.engine, shard=part).sync(["domino"])
    worker.close()
    assert len(ends) * 30 > 900, "the part must be longer than a lease"
    assert all(ends)


def test_parts_are_even_and_none_is_empty() -> None:
    assert [len(part.partitions) for part in split(PEOPLE, 3, "r")] == [2, 1, 1]
    assert [part.name for part in split(PEOPLE[:2], 8, "r")] == ["1/2", "2/2"]
    assert split([], 4, "r") == [] and split([""], 4, "r") == []


def error_of(act: Callable[[], object]) -> Exception:
    try:
        act()
    except Exception as error:
        return error
    raise AssertionError("it was not refused")
