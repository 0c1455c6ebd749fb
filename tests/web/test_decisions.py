"""Deciding, submitting and changing through the pages: what is stored, who may, and what is refused in words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from sidefeed.sync.flips import park
from sidefeed.workspace import Draft
from tests.web.conftest import Company
from tests.web.site import read

QUARTER = {"quarter": "2026-Q4"}


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Company]:
    """A company that a test may change."""
    made = Company(tmp_path)
    yield made
    made.close()


def field(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found is not None, f"no field {name}"
    return found[1]


def decide(own: Company, client: httpx.Client, choice: str, **more: str) -> httpx.Response:
    page = client.get("/conflicts").text
    sides = dict(re.findall(r'name="choice" value="(\d+)" required><b class="long">([^<]+)</b>', page))
    chosen = next((rev for rev, value in sides.items() if value == choice), choice)
    return client.post(f"/conflicts/{own.pump}/money", data={
        "csrf": field(page, "csrf"), "heads": field(page, "heads"), "choice": chosen, **more})


def test_a_side_of_a_conflict_becomes_the_value_with_who_decided_and_why(own: Company) -> None:
    client = own.site.client("mia@example.com")
    page = read(decide(own, client, "55,000.00 EUR", reason="the signed offer says so"))
    assert "Amount is decided" in page
    assert "Nobody disagrees" in page
    assert own.team.value(own.pump, "money") == {"amount": "55000", "currency": "EUR"}
    with own.store.read() as tx:
        last = tx.changes_of(own.pump)[-1]
    assert (last.actor, last.source, last.reason) == ("mia@example.com", "workspace", "the signed offer says so")
    history = read(client.get(f"/records/{own.pump}"))
    assert "48,000.00 EUR and 55,000.00 EUR → 55,000.00 EUR" in history


@pytest.mark.parametrize(("typed", "told"), [
    ("much", "is no amount"), ("55,000", "is no amount"), ("1e5", "is no amount"), ("NaN", "is no amount"),
    ("<script>alert(1)</script>", "is no amount")])
def test_what_is_no_amount_decides_nothing(own: Company, typed: str, told: str) -> None:
    page = decide(own, own.site.client("mia@example.com"), "other", value=typed)
    assert told in read(page)
    assert "<script>alert" not in page.text
    assert own.team.value(own.pump, "money")["amount"] == "48000"


def flipping(own: Company) -> str:
    """A deal whose next step two systems keep changing, each with its own value."""
    record = own.team.deal("Boiler", "bob@example.com", "10", next_step="call")
    with own.store.write() as tx:
        run = own.store.run = tx.begin_run("sync salesforce hubspot")
        for number in range(8):
            source, value = (("hubspot", "write"), ("salesforce", "call"))[number % 2]
            state = tx.record(record)
            assert state is not None
            tx.append([Draft("opportunity", record, {"next_step": value}, f"robot@{source}", source,
                             base={"next_step": list(state.heads_of("next_step"))})])
    with own.store.write() as tx:
        assert park(tx, run, flips=4, window=timedelta(hours=24)) == 1
    return record


@pytest.mark.parametrize(("choice", "value", "told"), [
    ("write", "write", "Next step is decided"), ("go on", "call", "Next step is written again from the next sync on")])
def test_a_field_that_two_systems_change_to_and_fro_is_decided_on_the_page(
    own: Company, choice: str, value: str, told: str
) -> None:
    record = flipping(own)
    client = own.site.client("mia@example.com")
    page = client.get("/conflicts").text
    assert "Boiler" in page and "robot@hubspot" in page
    form = page[page.index(f'action="/parked/{record}/next_step"'):]
    sides = {said: rev for rev, said in re.findall(
        r'name="choice" value="(\d+)" required><b class="long">([^<]+)</b>', form)}
    data = {"csrf": field(form, "csrf"), "heads": field(form, "heads"), "choice": sides.get(choice, choice)}
    assert own.site.client("eve@example.com").get("/conflicts").text.count("Boiler") == 0
    stale = client.post(f"/parked/{record}/next_step", data={**data, "heads": "1"})
    assert "changed meanwhile" in read(stale) and "Boiler" in stale.text
    assert client.post(f"/parked/{record}/next_step", data={**data, "csrf": "x"}).status_code == 403
    assert own.site.client("ann@example.com").post(f"/parked/{record}/next_step", data=data).status_code == 403
    page = client.post(f"/parked/{record}/next_step", data=data).text
    assert told in read(client.get("/conflicts")) or told in page
    assert "Boiler" not in client.get("/conflicts").text
    assert own.team.value(record, "next_step") == value


def test_another_value_may_be_typed(own: Company) -> None:
    decide(own, own.site.client("mia@example.com"), "other", value="51 500.50")
    assert own.team.value(own.pump, "money") == {"amount": "51500.50", "currency": "EUR"}


def test_a_decision_about_values_that_changed_meanwhile_is_not_taken(own: Company) -> None:
    client = own.site.client("mia@example.com")
    page = client.get("/conflicts").text
    with own.store.read() as tx:
        state = tx.record(own.pump)
    assert state is not None
    own.team.dispute(own.pump, "money", {"hubspot": {"amount": "1", "currency": "EUR"}})
    answer = client.post(f"/conflicts/{own.pump}/money", data={
        "csrf": field(page, "csrf"), "heads": field(page, "heads"), "choice": str(state.conflicts["money"][0].rev)})
    assert "changed meanwhile" in read(answer)
    assert own.team.value(own.pump, "money")["amount"] == "1"


@pytest.mark.parametrize("email", ["bob@example.com", "sam@example.com", "eve@example.com", "olga@example.com"])
def test_who_may_not_decide_cannot(own: Company, email: str) -> None:
    client = own.site.client(email)
    csrf = field(client.get("/deals").text, "csrf")
    with own.store.read() as tx:
        state = tx.record(own.pump)
    assert state is not None
    heads = [head.rev for head in state.conflicts["money"]]
    answer = client.post(f"/conflicts/{own.pump}/money", data={
        "csrf": csrf, "heads": ",".join(map(str, heads)), "choice": str(heads[1])})
    assert answer.status_code == 403
    assert own.team.value(own.pump, "money")["amount"] == "48000"


def change(client: httpx.Client, record: str, name: str, value: str) -> httpx.Response:
    page = client.get(f"/records/{record}").text
    form = page.partition(f'action="/records/{record}/{name}"')[2]
    return client.post(f"/records/{record}/{name}", data={
        "csrf": field(client.get("/deals").text, "csrf"), "heads": field(form, "heads") if form else "",
        "value": value})


@pytest.mark.parametrize(("name", "typed", "stored"), [
    ("next_step", "Call <b>them</b>", "Call <b>them</b>"), ("close_date", "2026-12-24", "2026-12-24"),
    ("stage", "negotiation", "negotiation"), ("money", "-12.5 usd", {"amount": "-12.5", "currency": "USD"}),
    ("forecast_category", "", None)])
def test_a_field_changed_on_the_page_is_a_change_in_the_log(
    own: Company, name: str, typed: str, stored: object
) -> None:
    page = change(own.site.client("eve@example.com"), own.quarry, name, typed)
    assert "is changed" in read(page)
    assert own.team.value(own.quarry, name) == stored
    with own.store.read() as tx:
        last = tx.changes_of(own.quarry)[-1]
        assert tx.record(own.quarry).conflicts == {}  # type: ignore[union-attr]
    assert (last.actor, last.source, dict(last.fields)) == ("eve@example.com", "workspace", {name: stored})


@pytest.mark.parametrize(("name", "typed", "told"), [
    ("close_date", "24.12.2026", "is no date"), ("stage", "nowhere", "is none of"), ("money", "ten", "is no amount"),
    ("next_step", "x" * 6000, "5,000 are the most"), ("next_step", "two\nlines", "holds one line")])
def test_a_value_that_is_none_changes_nothing_and_says_why(own: Company, name: str, typed: str, told: str) -> None:
    before = own.team.value(own.quarry, name)
    assert told in read(change(own.site.client("eve@example.com"), own.quarry, name, typed))
    assert own.team.value(own.quarry, name) == before


def test_an_edit_on_an_old_page_is_kept_beside_the_newer_value(own: Company) -> None:
    client = own.site.client("eve@example.com")
    page = client.get(f"/records/{own.quarry}").text
    form = page.partition(f'action="/records/{own.quarry}/close_date"')[2]
    own.team.dispute(own.quarry, "close_date", {"salesforce": "2027-03-01"})
    client.post(f"/records/{own.quarry}/close_date", data={
        "csrf": field(page, "csrf"), "heads": field(form, "heads"), "value": "2026-12-15"})
    with own.store.read() as tx:
        state = tx.record(own.quarry)
    assert state is not None
    assert sorted(head.value for head in state.conflicts["close_date"]) == ["2026-12-15", "2027-03-01"]


@pytest.mark.parametrize(("email", "name"), [("ann@example.com", "next_step"), ("eve@example.com", "owner"),
                                             ("olga@example.com", "money")])
def test_who_may_not_change_a_field_cannot(own: Company, email: str, name: str) -> None:
    before = own.team.value(own.quarry, name)
    assert change(own.site.client(email), own.quarry, name, "1").status_code in (403, 404)
    assert own.team.value(own.quarry, name) == before


def say(own: Company, client: httpx.Client, who: str, **form: str) -> httpx.Response:
    query = {**QUARTER, "who": who, "currency": "EUR"}
    page = client.get("/", params=query).text
    return client.post("/forecast/say", params=query, data={"csrf": field(page, "csrf"), **form})


def test_a_submission_a_call_and_an_adjustment_stand_beside_the_computed_number(own: Company) -> None:
    ann = own.team.users["ann@example.com"]
    assert "is stored" in read(say(own, own.site.client("ann@example.com"), ann, kind="submission", amount="50000"))
    mia = own.site.client("mia@example.com")
    assert "needs a reason" in read(say(own, mia, ann, kind="call", amount="45000"))
    assert "needs a reason" in read(say(own, mia, ann, kind="adjustment", amount="-2000", reason="  "))
    say(own, mia, ann, kind="call", amount="45000", reason="they always slip")
    page = read(say(own, mia, ann, kind="adjustment", amount="-2000", reason="no budget <i>yet</i>"))
    for told in ("The deals say 48,000.00", "Submitted 50,000.00 Ann Lee", "45,000.00 Mia North: they always slip",
                 "Adjusted 46,000.00", "when the deals said 48,000.00", "no budget <i>yet</i>"):
        assert told in page


@pytest.mark.parametrize(("email", "kind"), [
    ("bob@example.com", "submission"), ("ann@example.com", "call"), ("sam@example.com", "submission"),
    ("olga@example.com", "submission")])
def test_nobody_enters_a_number_that_is_not_theirs(own: Company, email: str, kind: str) -> None:
    answer = say(own, own.site.client(email), own.team.users["ann@example.com"], kind=kind, amount="1", reason="r")
    assert answer.status_code == 403
    with own.store.read() as tx:
        from sidefeed.forecast.calls import calls
        assert calls(tx).empty


@pytest.mark.parametrize("amount", ["", "lots", "1,000", "NaN", "Infinity"])
def test_a_submission_that_is_no_amount_is_refused_in_words(own: Company, amount: str) -> None:
    page = say(own, own.site.client("ann@example.com"), own.team.users["ann@example.com"], kind="submission",
               amount=amount)
    assert "Nothing was stored" in read(page)


def test_a_question_is_answered_once_and_only_by_its_choices(own: Company) -> None:
    with own.store.write() as tx:
        tx.ask("salesforce", "Account", "0015g000000G80ZAAS", "match", {
            "entity": "account", "candidates": {own.team.account: "Alder Foods"}, "values": {"name": "Alder <b>"}})
    client = own.site.client("mia@example.com")
    page = client.get("/conflicts").text
    assert "Alder &lt;b&gt;" in page
    form = {"csrf": field(page, "csrf"), "system": "salesforce", "object": "Account",
            "external_id": "0015g000000G80ZAAS"}
    assert "none of the choices" in read(client.post("/questions", data={**form, "answer": own.pump}))
    assert "The next sync acts on it" in read(client.post("/questions", data={**form, "answer": own.team.account}))
    assert "answered already" in read(client.post("/questions", data={**form, "answer": "new"}))
    with own.store.read() as tx:
        assert tx.answers("salesforce", "Account", ["0015g000000G80ZAAS"]) == {
            "0015g000000G80ZAAS": own.team.account}
    assert own.site.client("ann@example.com").post("/questions", data=form).status_code == 403
