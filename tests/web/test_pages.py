"""What stands on the pages: whatever the workspace holds, a sum that is right or a clear statement."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape
from io import BytesIO
from itertools import count
from pathlib import Path

import httpx
import openpyxl
import pytest

import sidefeed.web
from sidefeed.forecast import forecast, view
from sidefeed.forecast.hierarchy import import_memberships
from sidefeed.forecast.periods import Calendar
from sidefeed.forecast.rates import import_rates
from sidefeed.mapping import load
from sidefeed.sync.look import LAST_CHECK
from sidefeed.sync.match import natural_keys
from sidefeed.workspace import Store
from sidefeed.workspace.pauses import pause
from sidefeed.workspace.report import FLOW_RUN
from tests.web.conftest import NOW, Company, own_files
from tests.web.site import MAPPINGS, Site, Team, listed, read, ready
from tests.web.test_access import PAGES

STATIC = Path(sidefeed.web.__file__).parent / "static"


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Site]:
    """A workspace that holds nothing, not even a user."""
    store = Store.open(tmp_path / "workspace.db", now=lambda: NOW)
    site = Site(store)
    yield site
    site.close()
    store.close()


@pytest.mark.parametrize("path", PAGES)
def test_every_page_of_an_empty_workspace_says_that_it_is_empty(bare: Site, path: str) -> None:
    answer = bare.client().get(path)
    assert answer.status_code == 200
    told = {"/": "There are no deals yet", "/deals": "There are no deals yet", "/conflicts": "Nobody disagrees",
            "/feeds": "Nothing has been read yet", "/forecast/moves": "No deal has been read yet"}
    assert told.get(path, "") in read(answer)


def test_one_deal_without_amount_owner_date_currency_or_name(bare: Site) -> None:
    with_one = Team(bare.store)
    with_one.new("opportunity", {"stage": "proposal"})
    client = bare.client()
    page = read(client.get("/", params={"quarter": "all"}))
    assert "1 deal has no amount and counts as nothing" in page
    assert "Nobody's deals" in page
    assert "without a name" in read(client.get("/deals"))
    assert "no amount" in read(client.get("/deals"))


def test_the_bridge_and_the_waterfall_lead_to_the_number_on_the_page(company: Company) -> None:
    client = company.site.client("dana@example.com")
    query = {"quarter": "2026-Q4"}
    bridge = ready(client, "/forecast/bridge/hubspot", query)
    assert "+146,700.50 5 deals" in bridge
    assert "Sidefeed 146,700.50" in bridge
    drill = read(client.get("/forecast/bridge/hubspot/only here", params=query))
    assert "Quarry control" in drill
    assert "+146,700.50 EUR" in drill
    moves = ready(client, "/forecast/moves", {**query, "since": "first"})
    assert "now 146,700.50" in moves or "Nothing moved this number: 146,700.50" in moves


@pytest.mark.parametrize("query", [
    {"quarter": "2026-Q9"}, {"quarter": "no date"}, {"quarter": "9999-Q4"}, {"who": "nobody at all"},
    {"currency": "<b>"}, {"since": "ever"}, {"page": "-1"}, {"page": "99999999999"}, {"sort": "password"},
    {"owner": "x", "category": "y", "q": "'; DROP TABLE change; --"}])
def test_an_address_that_asks_for_what_is_not_there_still_answers(company: Company, query: dict[str, str]) -> None:
    client = company.site.client("dana@example.com")
    for path in ("/", "/deals", "/deals.csv", "/conflicts", "/forecast/moves"):
        assert client.get(path, params=query).status_code == 200
    assert client.get("/forecast/bridge/nowhere").status_code == 404
    assert client.get("/mapping/nowhere").status_code == 404


def test_the_stamp_tells_how_much_is_captured_of_what_the_reader_sees(company: Company) -> None:
    query = {"quarter": "2026-Q4"}
    everybody = ready(company.site.client("dana@example.com"), "/forecast/captured", query)
    assert "0 of 8 open and won deals that stand in hubspot" in everybody
    assert "6 of 7 open deals with a closing date" in everybody
    assert "2 of 2 open deals with an owner" in ready(company.site.client("eve@example.com"), "/forecast/captured", query)


def test_a_deal_stays_where_it_was_when_its_owner_moves_to_another_team(tmp_path: Path) -> None:
    made = Company(tmp_path)
    try:
        north = {"team": "North", "member": "bob@example.com"}
        south = {"team": "South", "member": "eve@example.com"}
        with made.store.write() as tx:
            import_memberships(tx, [north, south, {"team": "North", "member": "ann@example.com"}], "ops")
        made.clock = NOW + timedelta(days=3)
        with made.store.write() as tx:
            import_memberships(tx, [north, south, {"team": "North", "member": "ann@example.com", "to": "2026-11-30"},
                                    {"team": "South", "member": "ann@example.com", "from": "2026-12-01"}], "ops")
        made.clock = NOW + timedelta(days=8)
        client = made.site.client("dana@example.com")
        query = {"quarter": "2026-Q4", "who": "South", "since": "week"}
        assert "134,000.00 EUR" in read(client.get("/", params=query))
        moved = ready(client, "/forecast/moves", query)
        assert re.search(r"EUR 86,000.00 Owner in came from .* \+48,000.00 1 deal now .* 134,000.00 One", moved), moved
        gone = ready(client, "/forecast/moves", {**query, "who": "North"})
        assert re.search(r"EUR 60,000.50 Owner out went to .* \u221248,000.00 1 deal now .* 12,000.50 One", gone), gone
    finally:
        made.close()


def test_the_deals_are_filtered_and_sorted(company: Company) -> None:
    client = company.site.client("dana@example.com")

    def names(**query: str) -> list[str]:
        return re.findall(r'class="clip" href="/records/[^"]+">([^<]+)</a>', client.get("/deals", params=query).text)

    assert names(q="PUMP") == ["Pump station"]
    assert names(status="won") == ["Filter line"]
    assert names(disputed="1") == ["Pump station"]
    assert names(owner="nobody") == ["Orphan"]
    assert names(sort="amount", dir="down", quarter="2026-Q4")[:2] == ["Quarry control", "Pump station"]
    assert names(sort="name")[:3] == ["Filter line", "Next year", "Orphan"]
    assert names(q="no such deal") == []


def test_a_spreadsheet_takes_no_name_for_a_formula(company: Company) -> None:
    company.team.deal("=HYPERLINK(\"http://evil.example\")", "eve@example.com", "1", category="omitted")
    table = company.site.client("dana@example.com").get("/deals.csv").text
    assert "\"'=HYPERLINK" in table
    assert ",90000,EUR," in table


def test_each_value_says_who_wrote_it(company: Company) -> None:
    page = read(company.site.client("dana@example.com").get("/deals", params={"trace": "1", "q": "quarry"}))
    assert "Salesforce, Ann Lee, just now" in page


def test_the_mapping_pages_tell_what_the_mapping_does(company: Company) -> None:
    client = company.site.client("ann@example.com")
    assert "HubSpot deals both ways with Deal" in client.get("/mapping").text
    page = read(client.get("/mapping/opportunity"))
    assert "until a person decides" in page
    assert "Opportunity.Amount" in page


def test_the_last_check_is_told_with_what_it_found(company: Company) -> None:
    client = company.site.client("dana@example.com")
    assert "were not checked against the live systems yet" in client.get("/mapping").text
    with company.store.write() as tx:
        tx.save_setting(LAST_CHECK, json.dumps({"at": "2026-11-27T11:30:00.000Z", "fingerprint": "of before", "findings": [
            {"severity": "error", "code": "field-missing", "system": "hubspot", "object": "deals", "field": "x",
             "file": "hubspot.yaml", "line": 7, "column": 3, "message": "no such <field>.", "remedy": "Mend it."}]}))
    page = read(client.get("/mapping"))
    assert "1 finding checked 30 minutes ago" in page
    assert "error hubspot.yaml:7: no such <field>. Mend it. field-missing" in page
    assert "The files have changed since." in page


def test_a_run_leads_to_its_flow_run_and_to_nothing_else(company: Company) -> None:
    with company.store.write() as tx:
        run, other = tx.begin_run("sync hubspot"), tx.begin_run("sync salesforce")
        tx.end_run(run, "done", {"captured": 3})
        tx.save_setting(f"{FLOW_RUN}{run}", "http://127.0.0.1:4200/runs/flow-run/1")
        tx.save_setting(f"{FLOW_RUN}{other}", "javascript:alert(1)")
    client = company.site.client("olga@example.com")
    assert 'href="http://127.0.0.1:4200/runs/flow-run/1"' in client.get(f"/runs/{run}").text
    assert "javascript:" not in client.get(f"/runs/{other}").text
    assert client.get("/runs/none").status_code == 404


def test_accuracy_is_counted_where_history_is_short_and_hidden_from_ops(company: Company) -> None:
    client = company.site.client("dana@example.com")
    page = ready(client, "/accuracy", {})
    assert "Won and committed 146,700.50 too few finished quarters to say" in page
    assert "The same as last quarter says nothing there is no period before" in page
    assert "0 finished quarters so far" in page
    assert company.site.client("olga@example.com").get("/accuracy").status_code == 403


def test_quarters_are_those_of_the_company(bare: Site) -> None:
    team = Team(bare.store)
    team.deal("Early", "ann@example.com", "7", close="2026-10-31")
    team.deal("Late", "ann@example.com", "11", close="2027-01-31")
    fiscal = Site(bare.store, calendar=Calendar(first_month=2))
    page = read(fiscal.client().get("/"))
    assert "Committed for Q4 2027" in page  # November to January of the year that ends in January 2027
    assert "11.00 EUR" in page
    fiscal.close()


def test_the_first_load_is_under_200_kb(company: Company) -> None:
    """Counted as bytes on the wire, without compression: the page, its parts and every file it names."""
    client = company.site.client("dana@example.com")
    plain = {"accept-encoding": "identity"}
    page = client.get("/", headers=plain)
    files = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text))
    parts = set(re.findall(r'hx-get="([^"]+)" hx-trigger="load"', page.text))
    assert len(files) >= 4
    assert len(parts) == 3
    answers = [page, *(client.get(one.replace("&amp;", "&"), headers=plain) for one in files | parts)]
    assert all(answer.status_code == 200 for answer in answers)
    total = sum(len(answer.content) for answer in answers)
    packed = sum(int(client.get(one).headers["content-length"]) for one in files)
    assert total < 200_000
    assert packed < 40_000


def test_files_are_kept_by_the_browser_and_change_their_address_with_their_content(company: Company) -> None:
    page = company.site.client("dana@example.com").get("/")
    for address in re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text):
        answer = httpx.get(company.site.url + address, trust_env=False)
        assert "immutable" in answer.headers["cache-control"]
        assert hashlib.sha256(answer.content).hexdigest().startswith(address.split("/")[2])


def test_the_files_of_others_are_what_their_authors_published() -> None:
    told = dict(re.findall(r"\| `([^`]+)` \|.*\| `([0-9a-f]{64})` \|", (STATIC / "VENDORED.md").read_text()))
    assert set(told) == {"htmx.min.js", "pico.min.css"}
    assert {name: hashlib.sha256((STATIC / name).read_bytes()).hexdigest() for name in told} == told


# -- the reporting currency and the company's own day -----------------------------------------------------------------


@pytest.fixture
def abroad(tmp_path: Path) -> Iterator[Site]:
    """A company near Tokyo that reports in euro and sells in three currencies, on the last evening (UTC) of a quarter."""
    begins, passed = datetime(2026, 9, 30, 20, tzinfo=UTC), count()
    store = Store.open(tmp_path / "workspace.db", now=lambda: begins + timedelta(milliseconds=next(passed)))
    store.natural_keys = natural_keys(load(MAPPINGS))
    with store.write() as tx:
        import_rates(tx, [{"kind": "plan", "currency": "USD", "into": "EUR", "rate": "0.5", "from": "", "to": ""}], "ops")
    team = Team(store)
    team.deal("Pump", "ann@example.com", "1000.01", currency="USD")
    team.deal("Filter", "eve@example.com", "200")
    team.deal("Valve", "bob@example.com", "77", currency="XTS")
    site = Site(store, listed(), currency="EUR", zone="Asia/Tokyo")
    yield site
    site.close()
    store.close()


def test_the_page_tells_the_reporting_currency_as_the_command_line_does(abroad: Site) -> None:
    with abroad.store.read() as tx:
        about = view(tx, period="2026-Q4", into="EUR", zone="Asia/Tokyo")
    number = forecast(abroad.store, load(MAPPINGS), about).number
    assert number == {"EUR": Decimal("700.00"), "XTS": Decimal(77)}  # 1000.01 at 0.5, to the even cent; and 200
    page = read(abroad.client("dana@example.com").get("/"))
    assert "700.00 EUR" in page
    assert "Beside it, without a rate: 77.00 XTS" in page
    assert "no plan rate from XTS into EUR: 1 deal stays in XTS" in page
    mine = read(abroad.client("eve@example.com").get("/"))
    assert "All currencies together" not in mine  # eve sells in euro alone
    assert "700.00" not in read(abroad.client("olga@example.com").get("/"))  # ops sees no amounts


def test_bridge_waterfall_and_workbook_are_in_the_currency_of_the_page(abroad: Site) -> None:
    dana = abroad.client("dana@example.com")
    query = {"quarter": "2026-Q4", "since": "first"}
    for currency, ends in (("all", "700.00"), ("USD", "1,000.01"), ("EUR", "200.00"), ("XTS", "77.00")):
        asked = {**query, "currency": currency}
        for part in ("/forecast/bridge/hubspot", "/forecast/moves"):
            told = ready(dana, part, asked)
            assert ends in told, (part, currency, told)
        book = openpyxl.load_workbook(BytesIO(dana.get("/forecast.xlsx", params=asked).content))
        money = "EUR" if currency == "all" else currency
        for sheet in ("Bridge", "Waterfall"):
            head, *lines = book[sheet].iter_rows(values_only=True)
            ended = [dict(zip(head, line, strict=True)) for line in lines]
            last = [row["amount"] for row in ended if row["currency"] == money][-1]
            assert Decimal(str(last)) == Decimal(ends.replace(",", "")), (sheet, currency)


def test_the_number_leads_to_its_deals_and_they_are_worth_as_much(company: Company) -> None:
    client = company.site.client("dana@example.com")
    page = client.get("/", params={"quarter": "2026-Q4"}).text
    address = re.search(r'href="([^"]*)">(\d+) deals</a>', page)
    assert address is not None
    deals = read(client.get(unescape(address[1])))
    assert f"{address[2]} deals, together 146,700.50 EUR (1 has no amount)" in deals
    assert "146,700.50 EUR" in read(client.get("/"))
    north = read(client.get("/deals", params={"owner": company.team.users["bob@example.com"], "category": "committed"}))
    assert "Filter line" in north and "Pump station" not in north
    assert "12,000.50" not in read(company.site.client("olga@example.com").get("/deals"))


def test_the_mapping_page_shows_the_systems_that_the_project_connects_to(company: Company) -> None:
    page = read(company.site.client("dana@example.com").get("/mapping"))
    assert "Microsoft 365" in page and "CalDAV" in page, "every file, where nothing is said of connections"
    site = Site(company.store, listed(), systems=("salesforce", "hubspot"))
    try:
        page = read(site.client("dana@example.com").get("/mapping"))
    finally:
        site.close()
    assert "There are files for CalDAV, Domino, Exchange, Microsoft 365 too; this project does not connect to them" in page


def test_an_edit_is_in_the_converted_number_at_once(abroad: Site) -> None:
    dana = abroad.client("dana@example.com")
    assert "700.00 EUR" in read(dana.get("/"))
    team = Team(abroad.store)
    team.deal("Late", "ann@example.com", "10", currency="USD")
    gauge = team.deal("Gauge", "ann@example.com", "6", currency="XTS")
    page = read(dana.get("/"))
    assert "705.00 EUR" in page and "2 deals stay in XTS" in page
    team.dispute(gauge, "money", {"salesforce": {"amount": "6", "currency": "EUR"}})  # one edit, by somebody who saw it
    page = read(dana.get("/"))
    assert "711.00 EUR" in page and "1 deal stays in XTS" in page


def test_the_quarter_is_that_of_the_companys_own_day(abroad: Site) -> None:
    """It is 1 October in Tokyo while UTC is still in September."""
    assert "Committed for Q4 2026" in read(abroad.client("dana@example.com").get("/"))


def test_the_workbook_is_in_the_reporting_currency(abroad: Site) -> None:
    answer = abroad.client("dana@example.com").get("/forecast.xlsx", params={"quarter": "2026-Q4"})
    sheet = openpyxl.load_workbook(BytesIO(answer.content))["Currencies"]
    rows = [[cell.value for cell in row] for row in sheet.iter_rows()]
    assert any("USD" in row and "EUR" in row for row in rows)


def test_what_was_refused_for_one_cause_is_told_once_and_what_is_paused(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "workspace.db", now=lambda: NOW)
    store.natural_keys = natural_keys(load(MAPPINGS))
    team = Team(store)
    unknown = "user Ada Admin is not known in hubspot"
    deals = [team.deal(f"Autumn {number}", "ann@example.com", "1") for number in range(3)]
    with store.write() as tx:
        for record in deals:
            tx.refuse("hubspot", "deals", record, "owner", digest="1", code="unresolved", message=unknown, owner="admin")
        tx.refuse("hubspot", "deals", deals[0], "name", digest="1", code="too-long", message="too long", owner="rep")
    site = Site(store, listed())
    try:
        page = read(site.client("dana@example.com").get("/feeds"))
        with store.write() as tx:
            pause(tx, "hubspot", by="dana", why="bad <mapping>", reads=True)
        paused = read(site.client("dana@example.com").get("/feeds"))
    finally:
        site.close()
        store.close()
    assert "Paused" not in page
    assert "hubspot since" in paused and "bad <mapping>. Nothing is written there, and it is not read" in paused
    assert page.count(unknown) == 1
    assert "and 2 more" in page
    assert "For administrators of the system: 3" in page and "For reps: 1" in page
    assert all(f"Autumn {number}" in page for number in range(3))


def test_a_changed_mapping_is_followed_and_a_broken_one_is_told(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "workspace.db", now=lambda: NOW)
    store.natural_keys = natural_keys(load(MAPPINGS))
    Team(store).deal("Pump", "ann@example.com", "1")
    files = own_files(tmp_path)
    site = Site(store, listed(), files=files)
    try:
        client = site.client("dana@example.com")
        assert client.get("/mapping").text.count('id="system-hubspot"') == 1
        whole = (files.folder / "hubspot.yaml").read_text(encoding="utf-8")
        (files.folder / "hubspot.yaml").unlink()
        assert 'id="system-hubspot"' not in client.get("/mapping").text
        assert "HubSpot" not in read(client.get("/"))
        (files.folder / "hubspot.yaml").write_text("objects: [", encoding="utf-8")
        broken = client.get("/mapping")
        assert broken.status_code == 200
        assert "cannot be read, so these pages go on" in read(broken) and "hubspot.yaml" in read(broken)
        (files.folder / "hubspot.yaml").write_text(whole, encoding="utf-8")
        mended = client.get("/mapping")
        assert 'id="system-hubspot"' in mended.text and "cannot be read" not in read(mended)
        assert [client.get(path).status_code for path in ("/", "/forecast/bridge/hubspot", "/forecast.xlsx")] == [200] * 3
    finally:
        site.close()
        store.close()
