"""Teams of any day: dated, known since when, nobody counted twice, no circles."""

from __future__ import annotations

from datetime import date

import pytest

from sidefeed.forecast import EntryError, ScopeError, branches
from sidefeed.forecast.entries import known
from sidefeed.forecast.hierarchy import EVERYONE, People, hierarchy, import_memberships, led, resolve, turns
from sidefeed.project import PersonSettings
from sidefeed.workspace import tables as t
from tests.forecast.shop import Shop

DAY = date(2026, 1, 10)


def enter(shop: Shop, *lines: str) -> tuple[int, int]:
    rows = [dict(zip(("team", "member", "role", "from", "to"), line.split(","), strict=False)) for line in lines]
    with shop.store.write() as tx:
        return import_memberships(tx, rows, "ops")


def test_deals_count_to_every_team_above(shop: Shop) -> None:
    ann, bob, dana = (shop.person(name) for name in ("Ann", "Bob", "Dana"))
    assert enter(shop, "North,ann@example.com", "South,Bob", "EMEA,North", "EMEA,South", "EMEA,Dana,lead") == (5, 0)
    with shop.store.read() as tx:
        tree = hierarchy(tx, DAY)
    assert tree.owners("EMEA") == {ann, bob, dana}
    assert (tree.owners("North"), tree.owners(bob), tree.owners(EVERYONE)) == ({ann}, {bob}, None)
    assert list(tree.path(ann)) == [ann, "North", "EMEA", EVERYONE]
    assert tree.children("EMEA") == ["North", "South", dana]
    assert tree.children(EVERYONE) == ["EMEA"]
    assert tree.leads == {"EMEA": (dana,)}


def test_a_person_moves_on_a_day(shop: Shop) -> None:
    ann = shop.person("Ann")
    enter(shop, "North,Ann,,,2026-03-31", "South,Ann,,2026-04-01,")
    with shop.store.read() as tx:
        assert [list(hierarchy(tx, day).path(ann))[1] for day in (date(2026, 3, 31), date(2026, 4, 1))] == [
            "North", "South"]
        assert turns(tx, date(2026, 1, 1), date(2026, 12, 31)) == [date(2026, 4, 1)]


def test_a_correction_leaves_what_was_known(shop: Shop) -> None:
    ann = shop.person("Ann")
    enter(shop, "North,Ann")
    then = shop.later(hours=1)
    shop.later(days=1)
    assert enter(shop, "South,Ann") == (1, 1)
    with shop.store.read() as tx:
        assert hierarchy(tx, DAY, then).parent == {ann: "North"}
        assert hierarchy(tx, DAY).parent == {ann: "South"}


def test_the_same_file_again_changes_nothing(shop: Shop) -> None:
    shop.person("Ann")
    enter(shop, "North,Ann", "EMEA,North")
    assert enter(shop, "EMEA,North", "North,Ann") == (0, 0)


@pytest.mark.parametrize(("lines", "message"), [
    (["North,Ann", "South,Ann"], "Ann belongs to North and to South at once"),
    (["North,Ann,,,2026-03-31", "South,Ann,,2026-03-31,"], "counted twice"),
    (["A,B", "B,C", "C,A"], "that is a circle"),
    (["A,A"], "A belongs to A: that is a circle"),
    (["A,B,,2026-06-01,", "B,A,,,2026-06-30"], "that is a circle"),
    (["North,"], "line 2: member is blank"),
    (["North,Ann,boss"], "role is member or lead"),
    (["North,Ann,,31.03.2026"], "is no date; write it as"),
    (["North,Ann,,2026-04-01,2026-03-01"], "ends .* before it starts"),
    (["everyone,Ann"], "is the root"),
])
def test_what_would_count_wrongly_is_refused_and_nothing_stored(shop: Shop, lines: list[str], message: str) -> None:
    shop.person("Ann")
    with pytest.raises(EntryError, match=message):
        enter(shop, *lines)
    with shop.store.read() as tx:
        assert known(tx, t.membership) == []


def test_teams_that_never_stand_in_a_circle_on_one_day_are_taken(shop: Shop) -> None:
    assert enter(shop, "A,B,,,2026-05-31", "B,A,,2026-06-01,") == (2, 0)


def test_a_node_is_found_by_what_people_call_it(shop: Shop) -> None:
    ann = shop.person("Ann")
    enter(shop, "North,Ann")
    with shop.store.read() as tx:
        tree, people = hierarchy(tx, DAY), People(tx)
        assert [resolve(text, tree, people) for text in ("north", "ANN", "ann@example.com", ann, "", "everyone")] == [
            "North", ann, ann, ann, EVERYONE, EVERYONE]
        with pytest.raises(ScopeError, match="Teams: North"):
            resolve("West", tree, people)


def people_of(**managers: str) -> dict[str, PersonSettings]:
    return {f"{name}@example.com": PersonSettings(role="rep", manager=f"{manager}@example.com" if manager else "")
            for name, manager in managers.items()}


def test_managers_of_the_settings_lead_teams_until_teams_are_entered(shop: Shop) -> None:
    ann, dana = shop.person("Ann"), shop.person("Dana")
    leaders = led(people_of(ann="dana", dana=""))
    with shop.store.read() as tx:
        tree = hierarchy(tx, DAY, led=leaders)
    assert (tree.owners("Dana's team"), tree.leads) == ({ann, dana}, {"Dana's team": (dana,)})
    enter(shop, "North,Ann")
    with shop.store.read() as tx:
        assert hierarchy(tx, DAY, led=leaders).parent == {ann: "North"}


@pytest.mark.parametrize(("managers", "message"), [
    ({"ann": "dana", "dana": "ann"}, r"form a circle \(ann@example.com -> dana@example.com -> ann@example.com\)"),
    ({"ann": "ghost"}, "manager 'ghost@example.com' is not listed"),
])
def test_managers_that_make_no_tree_are_refused(managers: dict[str, str], message: str) -> None:
    with pytest.raises(EntryError, match=message):
        led(people_of(**managers))


def test_each_visitor_sees_the_branches_with_own_people_in_them(shop: Shop) -> None:
    ann, bob, cara, dana = (shop.person(name) for name in ("Ann", "Bob", "Cara", "Dana"))
    enter(shop, "North,Ann", "South,Bob", "EMEA,North", "EMEA,South", "North,Dana,lead")
    with shop.store.read() as tx:
        tree = hierarchy(tx, DAY)
    names = {ann: "Ann", bob: "Bob", cara: "Cara", dana: "Dana"}
    every = branches(tree, {ann, cara, ""}, names)
    assert [(one.name, one.kind, one.level) for one in every.walk()] == [
        ("Everyone", "root", 0), ("EMEA", "team", 1), ("North", "team", 2), ("Dana", "person", 3), ("Ann", "person", 3),
        ("South", "team", 2), ("Bob", "person", 3), ("Cara", "person", 1), ("Nobody", "nobody", 1)]
    assert every.owners == {ann, bob, cara, dana, ""}
    seen = branches(tree, {ann, cara, ""}, names, visible=frozenset({ann}))
    assert [one.name for one in seen.walk()] == ["Everyone", "EMEA", "North", "Ann"]
