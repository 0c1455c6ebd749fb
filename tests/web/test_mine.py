"""A person's own page: questions about meetings answered once, what the CRMs will see, and deals to look at."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from sidefeed.calendars import busy
from tests.web.conftest import Company
from tests.web.site import read


class Desk(Company):
    """A company in which two meetings of Ann's and one of Eve's wait to be filed, and a stranger was met."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        new = self.team.new
        self.contact = new("contact", {"first_name": "Aiko", "last_name": "Abe", "email": "aiko@alder.example"})
        self.first = self.meeting("m1", "ann@example.com", "2026-11-28T09:00:00Z")
        self.second = self.meeting("m2", "ann@example.com", "2026-11-29T09:00:00Z")
        third = self.meeting("m3", "eve@example.com", "2026-11-30T09:00:00Z")
        with self.store.write() as tx:
            for key, record in (("m1", self.first), ("m2", self.second)):
                tx.ask("workspace", "meeting", f"series:{key}", "deal", {
                    "records": [record], "contacts": [self.contact], "went_to": None, "why": "2 open deals",
                    "candidates": {self.pump: "Pump station", self.quarry: "Quarry control"}})
            tx.ask("workspace", "meeting", "series:m3", "deal", {
                "records": [third], "contacts": [], "went_to": None, "why": "none", "candidates": {}})
            tx.ask("workspace", "contact", "new@alder.example", "person", {
                "name": "Nils <b>New</b>", "account": self.team.account, "meetings": [self.first]})
            busy.note(tx, [self.block("m1", "2026-11-28T09:00:00Z", "admit", "full"),
                           self.block(None, "2026-11-28T11:00:00Z", "private", "busy")])

    def meeting(self, key: str, rep: str, start: str) -> str:
        return self.team.new("meeting", {
            "subject": f"Talk {key}", "key": key, "uid": key, "owner": self.team.users[rep],
            "contacts": [self.contact], "about": f"account:{self.team.account}",
            "when": {"start": start, "end": start.replace("T09", "T10"), "zone": "UTC", "all_day": False}})

    @staticmethod
    def block(key: str | None, start: str, verdict: str, level: str) -> dict[str, Any]:
        return {"system": "exchange", "object": "calendar ann@example.com", "external_id": key or "hidden",
                "mailbox": "ann@example.com", "key": key, "start": start, "end": start.replace(":00:00Z", ":30:00Z"),
                "all_day": False, "show_as": "busy", "level": level, "verdict": verdict}


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = Desk(tmp_path_factory.mktemp("desk"))
    yield made
    made.close()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.close()


def give(client: httpx.Client, answer: str, about: str, **more: str) -> httpx.Response:
    """Answer the first question of the page whose text holds these words."""
    page = client.get("/mine").text
    csrf = re.search(r'name="csrf" value="([^"]*)"', page)
    assert csrf is not None
    asked = re.findall(r'<h3 [^>]*>([^<]*)</h3>.*?action="/mine/questions/(\w+)"', page, re.DOTALL)
    id = next(id for text, id in asked if about in text)
    return client.post(f"/mine/questions/{id}", data={"csrf": csrf[1], "answer": answer, **more})


def test_a_rep_is_asked_about_own_meetings_alone_and_a_manager_about_those_below(shown: Desk) -> None:
    ann = read(shown.site.client("ann@example.com").get("/mine"))
    assert "Which deal is the meeting of 2026-11-28 09:00 with Aiko Abe about?" in ann
    assert "2026-11-30" not in ann
    assert "Quarry control" not in ann, "a deal of another team is not named"
    assert "Is new@alder.example (Nils <b>New</b>) to become a contact?" in ann
    assert "Nothing. A meeting" in read(shown.site.client("bob@example.com").get("/mine"))
    assert "Ann Lee" in read(shown.site.client("mia@example.com").get("/mine"))
    assert "2026-11-30" in read(shown.site.client("dana@example.com").get("/mine"))


def test_one_answer_files_the_meeting_and_every_other_with_these_people(own: Desk) -> None:
    client = own.site.client("ann@example.com")
    page = read(give(client, own.pump, "2026-11-28"))
    assert "1 meetings are filed on Pump station, and 1 more questions are answered by it" in page
    assert "2026-11-29" not in page.partition("Your next")[0]
    assert own.team.value(own.first, "about") == own.team.value(own.second, "about") == f"opportunity:{own.pump}"
    with own.store.read() as tx:
        assert tx.changes_of(own.first)[-1].actor == "ann@example.com"


@pytest.mark.parametrize(("answer", "more", "filed"), [
    ("other", {"deal": "pump station", "only_this": "1"}, "opportunity"), ("other", {"deal": "Quarry control"}, ""),
    ("other", {"deal": ""}, ""), ("nonsense", {}, ""), ("none", {}, "")])
def test_an_answer_is_one_of_the_choices_or_a_deal_that_the_rep_sees(
    own: Desk, answer: str, more: dict[str, str], filed: str
) -> None:
    page = read(give(own.site.client("ann@example.com"), answer, "2026-11-28", **more))
    about = own.team.value(own.first, "about")
    assert about == (f"opportunity:{own.pump}" if filed else f"account:{own.team.account}")
    assert own.team.value(own.second, "about") == f"account:{own.team.account}", "only this was said, or nothing"
    assert ("Nothing was answered" in page) == (not filed and answer != "none")


def test_who_is_not_asked_cannot_answer_and_a_form_of_another_session_counts_for_nothing(own: Desk) -> None:
    ann, bob = own.site.client("ann@example.com"), own.site.client("bob@example.com")
    id = re.search(r'/mine/questions/(\w+)"', ann.get("/mine").text)
    csrf = re.search(r'name="csrf" value="([^"]*)"', bob.get("/mine").text)
    assert id is not None and csrf is not None
    form = {"csrf": csrf[1], "answer": own.pump}
    assert bob.post(f"/mine/questions/{id[1]}", data=form).status_code == 403
    assert ann.post(f"/mine/questions/{id[1]}", data=form).status_code == 403
    assert own.team.value(own.first, "about") == f"account:{own.team.account}"


def test_a_stranger_becomes_a_contact_only_by_an_answer(own: Desk) -> None:
    page = read(give(own.site.client("ann@example.com"), "create", "new@alder.example"))
    assert "becomes a contact" in page
    with own.store.read() as tx:
        made = [state.values for state in tx.each_record("contact")]
    assert {"new@alder.example", "aiko@alder.example"} == {one["email"] for one in made}


def test_a_rep_sees_what_the_crms_will_see_and_shows_less(own: Desk) -> None:
    client = own.site.client("ann@example.com")
    page = read(client.get("/mine"))
    assert "28 Nov 2026 09:00 to 09:30 UTC Talk m1 aiko@alder.example filed on Alder Foods goes to the CRMs; its deal " \
           "is asked" in page
    assert "28 Nov 2026 11:00 to 11:30 UTC nothing stays in the calendar: private" in page
    csrf = re.search(r'name="csrf" value="([^"]*)"', client.get("/mine").text)
    assert csrf is not None
    done = read(client.post("/mine/meetings", data={"csrf": csrf[1], "level": "busy", "meeting": "m1"}))
    assert "at most only that I am busy" in done
    assert own.team.value(own.first, "subject") != "Talk m1", "what was told is taken back"
    assert "Nothing was changed" in read(client.post("/mine/meetings", data={
        "csrf": csrf[1], "level": "busy", "meeting": "not one"}))
    assert "Talk" not in read(own.site.client("mia@example.com").get("/mine")).partition("Your next")[2], \
        "nobody else is told"


def test_own_deals_say_why_they_are_worth_a_look(shown: Desk) -> None:
    page = read(shown.site.client("ann@example.com").get("/mine"))
    assert "Pump station in conflict, closes soon, no next step" in page
    assert "Someday no close date, no next step" in page
    assert "Quarry control" not in page
    ops = shown.site.client("olga@example.com").get("/mine")
    assert (ops.status_code, "No open deal is yours" in read(ops)) == (200, True)
