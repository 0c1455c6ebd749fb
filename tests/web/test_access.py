"""Who comes in, what each role sees, and that no other site can act in somebody's name."""

from __future__ import annotations

import re
from datetime import timedelta

import httpx
import pytest

from sidefeed.project import ProjectError
from tests.web.conftest import NOW, Company
from tests.web.site import PEOPLE, listed, read

PAGES = ("/", "/deals", "/deals.csv", "/mine", "/conflicts", "/feeds", "/mapping", "/mapping/opportunity", "/forecast/moves",
         "/forecast/bridge/hubspot", "/forecast/bridge/hubspot/only here")


def csrf(client: httpx.Client) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', client.get("/deals").text)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("path", PAGES)
def test_no_page_is_shown_to_somebody_who_is_not_signed_in(company: Company, path: str) -> None:
    answer = httpx.get(company.site.url + path, trust_env=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")


def test_a_link_signs_in_once(company: Company) -> None:
    token = company.site.link("dana@example.com").partition("token=")[2]
    with httpx.Client(base_url=company.site.url, trust_env=False) as client:
        assert "signs you in once" in client.get("/sign-in", params={"token": token}).text
        assert client.post("/sign-in", data={"token": token}).status_code == 303
        again = client.post("/sign-in", data={"token": token})
    assert (again.status_code, "used already" in again.text) == (410, True)


def test_a_link_is_of_no_use_after_ten_minutes_nor_a_session_after_twelve_hours(company: Company) -> None:
    token = company.site.link("dana@example.com").partition("token=")[2]
    client = company.site.client("dana@example.com")
    try:
        company.clock = NOW + timedelta(minutes=11)
        assert httpx.post(company.site.url + "/sign-in", data={"token": token}, trust_env=False).status_code == 410
        assert client.get("/deals").url.path == "/deals"
        company.clock = NOW + timedelta(hours=13)
        assert client.get("/deals").url.path == "/sign-in"
    finally:
        company.clock = NOW


def test_signing_out_ends_the_session(company: Company) -> None:
    client = company.site.client("dana@example.com")
    cookie = dict(client.cookies)
    client.post("/sign-out", data={"csrf": csrf(client)})
    answer = httpx.get(company.site.url + "/deals", cookies=cookie, trust_env=False)
    assert answer.status_code == 303


@pytest.mark.parametrize(("email", "seen"), [
    ("dana@example.com", {"Pump station", "Filter line", "Quarry control", "Orphan"}),
    ("mia@example.com", {"Pump station", "Filter line"}), ("ann@example.com", {"Pump station", "Filter line"}),
    ("sam@example.com", {"Quarry control"}), ("eve@example.com", {"Quarry control"}),
    ("olga@example.com", {"Pump station", "Filter line", "Quarry control", "Orphan"})])
def test_each_role_sees_its_deals_and_no_others(company: Company, email: str, seen: set[str]) -> None:
    client = company.site.client(email)
    names = {"Pump station", "Filter line", "Quarry control", "Orphan"}
    for path in ("/deals", "/deals.csv"):
        page = client.get(path).text
        assert {name for name in names if name in page} == seen
    assert client.get(f"/records/{company.quarry}").status_code == (200 if "Quarry control" in seen else 404)
    assert ("Eve Stone" in client.get("/").text) == ("Quarry control" in seen)


@pytest.mark.parametrize("path", PAGES)
def test_ops_sees_no_amount_anywhere(company: Company, path: str) -> None:
    client = company.site.client("olga@example.com")
    for page in (client.get(path).text, client.get(f"/records/{company.pump}").text):
        for amount in ("50,000", "50000", "48,000", "48000", "55,000", "55000", "90,000", "90000", "12,000.5", "12000.5"):
            assert amount not in page


def test_the_number_is_what_won_and_commit_come_to(company: Company) -> None:
    page = read(company.site.client("dana@example.com").get("/", params={"quarter": "2026-Q4"}))
    assert "146,700.50 EUR" in page  # 48,000 + 12,000.50 + 90,000 - 4,000 + 700
    assert "between 146,700.50 and 153,700.50" in page
    assert "1 deal has no amount and counts as nothing." in page
    assert "1 deal has a negative amount and takes from the total" in page
    assert "1 deal has no close date and counts in no quarter." in page
    team = read(company.site.client("mia@example.com").get("/", params={"quarter": "2026-Q4"}))
    assert "60,000.50 EUR" in team


def test_a_form_that_no_page_of_ours_made_changes_nothing(company: Company) -> None:
    client = company.site.client("dana@example.com")
    address = f"/records/{company.quarry}/next_step"
    good = {"value": "stolen", "heads": "", "csrf": csrf(client)}
    other = company.site.client("dana@example.com")
    assert client.post(address, data={**good, "csrf": ""}).status_code == 403
    assert client.post(address, data={**good, "csrf": csrf(other)}).status_code == 403
    assert client.post(address, data=good, headers={"origin": "https://evil.example"}).status_code == 403
    assert client.post(address, data=good, headers={"sec-fetch-site": "cross-site"}).status_code == 403
    assert client.post(address, json=good).status_code == 415
    assert company.team.value(company.quarry, "next_step") is None


def test_another_host_name_is_refused(company: Company) -> None:
    answer = httpx.get(company.site.url + "/", headers={"host": "evil.example"}, trust_env=False)
    assert answer.status_code == 400


def test_every_answer_carries_the_policy_that_keeps_scripts_out(company: Company) -> None:
    client = company.site.client("dana@example.com")
    for path in (*PAGES, "/nowhere", "/sign-in", "/records/none"):
        answer = client.get(path)
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        assert " style=" not in answer.text
        assert not re.search(r"<script(?![^>]* src=)|\son[a-z]+=", answer.text)


@pytest.mark.parametrize(("change", "told"), [
    ({"mia@example.com": {"role": "manager", "manager": "ann@example.com"}}, "circle"),
    ({"ann@example.com": {"role": "rep", "manager": "nobody@example.com"}}, "not listed")])
def test_a_tree_of_people_that_cannot_be_is_told(change: dict[str, dict[str, str]], told: str) -> None:
    with pytest.raises(ProjectError, match=told):
        listed({**PEOPLE, **change})
