"""Always do this: what a rule would write and decide is shown first, done whole or not at all, by those who may."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from sidefeed.mapping import golden, load
from tests.web.conftest import Company
from tests.web.site import Site, listed, read


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Company]:
    made = Company(tmp_path)
    made.team.dispute(made.quarry, "close_date", {"salesforce": "2026-12-20", "hubspot": "2027-01-20"})
    made.team.dispute(made.pump, "close_date", {"salesforce": "2026-12-21", "hubspot": "2027-01-21"})
    silent = made.team.deal("Silent", "bob@example.com", "1")
    made.team.dispute(silent, "close_date", {"hubspot": "2027-02-01", "workspace": "2027-02-02"})
    yield made
    made.close()


def ask(own: Company, client: httpx.Client, record: str, field: str, source: str, **more: str) -> httpx.Response:
    """Press Always do this with one system's value chosen."""
    page = client.get("/conflicts").text
    csrf = re.search(r'name="csrf" value="([^"]*)"', page)
    assert csrf is not None
    with own.store.read() as tx:
        state = tx.record(record)
    assert state is not None
    heads = state.conflicts[field]
    choice = next(head.rev for head in heads if head.source == source)
    return client.post(f"/conflicts/{record}/{field}/always", data={
        "csrf": csrf[1], "heads": ",".join(str(head.rev) for head in heads), "choice": str(choice), **more})


def policy(own: Company) -> tuple[str, str | None]:
    found = load(own.files.folder).entities["opportunity"].fields["close_date"].policy
    return found.rule, found.system


def test_a_rule_is_shown_with_its_line_and_effect_and_changes_nothing_until_it_is_sure(own: Company) -> None:
    client = own.site.client("dana@example.com")
    before = own.files.folder.joinpath("entities.yaml").read_text()
    page = read(ask(own, client, own.quarry, "close_date", "salesforce"))
    assert "Nothing has been changed yet" in page
    assert "comes close_date: {type: date, policy: {prefer: salesforce}}" in page
    assert "Quarry control 10 Dec 2026 20 Dec 2026" in page or "Quarry control 20 Dec 2026 20 Dec 2026" in page
    assert "Pump station" in page and "21 Dec 2026" in page
    assert "1 conflict about it stays open, because Salesforce said nothing there" in page
    assert own.files.folder.joinpath("entities.yaml").read_text() == before
    with own.store.read() as tx:
        assert len(tx.conflicted("opportunity")) == 3


def test_a_rule_that_is_sure_stands_in_the_file_with_its_test_and_decides_the_other_conflicts(own: Company) -> None:
    client = own.site.client("dana@example.com")
    page = read(ask(own, client, own.quarry, "close_date", "salesforce", sure="1", reason="they own the dates"))
    assert "Salesforce wins it from now on" in page
    assert "1 other conflict about it is decided too" in page
    assert policy(own) == ("prefer", "salesforce")
    outcomes = golden.run(load(own.files.folder), golden.read(own.files.folder))
    assert [str(one) for one in outcomes if not one.ok] == []
    assert (own.team.value(own.quarry, "close_date"), own.team.value(own.pump, "close_date")) == (
        "2026-12-20", "2026-12-21")
    with own.store.read() as tx:
        decided, also = tx.changes_of(own.quarry)[-1], tx.changes_of(own.pump)[-1]
    assert (decided.actor, decided.reason) == ("dana@example.com", "they own the dates")
    assert also.actor == "policy:prefer:salesforce"
    assert "salesforce wins" in read(client.get("/mapping/opportunity"))


@pytest.mark.parametrize(("email", "field"), [
    ("eve@example.com", "close_date"), ("sam@example.com", "close_date"), ("olga@example.com", "money")])
def test_who_does_not_decide_for_everybody_makes_no_rule(own: Company, email: str, field: str) -> None:
    client = own.site.client(email)
    record = own.pump if field == "money" else own.quarry
    assert "Always do this" not in client.get("/conflicts").text or email == "olga@example.com"
    assert ask(own, client, record, field, "salesforce", sure="1").status_code == 403
    assert policy(own) == ("ask", None)


def test_ops_makes_a_rule_about_what_is_no_amount(own: Company) -> None:
    assert ask(own, own.site.client("olga@example.com"), own.quarry, "close_date", "hubspot", sure="1").status_code == 200
    assert policy(own) == ("prefer", "hubspot")


def test_a_rule_needs_a_form_of_this_session_and_the_value_of_a_system(own: Company) -> None:
    client = own.site.client("dana@example.com")
    assert ask(own, client, own.quarry, "close_date", "salesforce", csrf="x", sure="1").status_code == 403
    other = ask(own, client, own.quarry, "close_date", "salesforce", choice="other", sure="1")
    assert "Only a system can always win" in read(other)
    stale = ask(own, client, own.quarry, "close_date", "salesforce", heads="1,2", sure="1")
    assert "changed meanwhile" in read(stale)
    assert policy(own) == ("ask", None)


def test_a_rule_that_cannot_be_written_decides_nothing_and_shows_the_line(own: Company) -> None:
    before = own.files.folder.joinpath("entities.yaml").read_text()
    tests = own.files.folder / "tests"
    tests.rename(own.files.folder / "moved")
    tests.write_text("in the way of the golden test")
    page = read(ask(own, own.site.client("dana@example.com"), own.quarry, "close_date", "salesforce", sure="1"))
    assert "The rule cannot be written from here" in page
    assert "Nothing was decided" in page
    assert "close_date: {type: date, policy: {prefer: salesforce}}" in page
    assert f"sidefeed resolve {own.quarry} close_date --from salesforce --always" in page
    assert own.files.folder.joinpath("entities.yaml").read_text() == before
    with own.store.read() as tx:
        assert len(tx.conflicted("opportunity")) == 3


def test_a_server_that_does_not_know_the_files_says_so(own: Company) -> None:
    site = Site(own.store, listed())
    try:
        page = read(ask(own, site.client("dana@example.com"), own.quarry, "close_date", "salesforce", sure="1"))
    finally:
        site.close()
    assert "not told where the mapping files are" in page
    assert own.team.value(own.quarry, "close_date") != "2027-01-20"
