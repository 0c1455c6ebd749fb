"""A rep on Microsoft 365: the same meetings on the same deals, and one record for a mailbox that is seen through both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.exchange import ExchangeServer
from sandbox.exchange.store import PropertyKey
from sandbox.graph import GraphServer
from sandbox.hubspot import HubSpotServer
from sandbox.salesforce import SalesforceServer
from sidefeed.calendars import CalendarPolicy
from sidefeed.calendars.foreign import claim
from tests.sync.test_meetings import ANN, BOB, GUEST, Calendar


class CloudCalendar(Calendar):
    """Ann and Bob are on Microsoft 365; Bob's mailbox is also read through EWS, as in the weeks of a migration."""

    def __init__(
        self, folder: Path, salesforce: SalesforceServer, hubspot: HubSpotServer, exchange: ExchangeServer,
        graph: GraphServer,
    ) -> None:  # fmt: skip
        super().__init__(folder, salesforce, hubspot, exchange)
        self.graph = graph
        info = graph.connection_info()
        self.settings["microsoft365"] = {
            **{name: info[name] for name in ("tenant_id", "client_id", "client_secret")}, "mailboxes": [ANN, BOB],
            "login_base": info["login"], "graph_base": info["graph"]}  # fmt: skip
        self.settings["exchange"] |= {"mailboxes": [BOB], "credentials": {BOB: {"username": BOB, "password": "pw"}}}
        self.write()

    def meets(self, mailbox: str = ANN, subject: str = "Kick-off", days: float = 1, **fields: Any) -> Any:
        """A rep's own meeting, invited to by word of mouth, so that any mail is ours."""
        return super().meets(mailbox, subject, days, **{"send": "SendToNone", **fields})


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[CloudCalendar]:
    with SalesforceServer(tls=True) as salesforce, HubSpotServer() as hubspot, ExchangeServer() as exchange, \
            GraphServer(exchange=exchange) as graph:  # fmt: skip
        yield CloudCalendar(tmp_path, salesforce, hubspot, exchange, graph)
        assert salesforce.crashes == hubspot.crashes == exchange.crashes == graph.crashes == []
        assert exchange.call(exchange.outbox) == []
        assert graph.mutable_ids == 0 and graph.limits.refused == 0


def shown(cloud: CloudCalendar) -> list[tuple[Any, ...]]:
    return sorted((event["Subject"], event["WhatId"], event["WhoId"]) for event in cloud.events())


def test_a_meeting_lives_in_both_crms_from_its_first_day_to_its_retraction(cloud: CloudCalendar) -> None:
    kick_off = cloud.meets(ANN, "Kick-off")
    cloud.meets(ANN, "Zahnarzt", sensitivity="Private")
    cloud.sync(2)
    assert shown(cloud) == [("Kick-off", cloud.deal, cloud.contact)]
    assert cloud.hs_names("meetings", "hs_meeting_title") == ["Kick-off"]
    exchange = cloud.exchange
    exchange.call(lambda: exchange.update_event(ANN, kick_off, subject="Kick-off moved"))
    cloud.sync(2)
    assert shown(cloud) == [("Kick-off moved", cloud.deal, cloud.contact)]
    exchange.call(lambda: exchange.update_event(ANN, kick_off, sensitivity="Private"))
    cloud.sync(2)
    assert shown(cloud) == [] and cloud.holds_words("Zahnarzt", "Kick-off moved") == []
    _code, report = cloud("sync")
    assert report["counts"].get("written", 0) == 0


def test_one_mailbox_seen_through_ews_and_graph_is_one_record(cloud: CloudCalendar) -> None:
    cloud.meets(BOB, "Review")
    cloud.sync(3)
    assert shown(cloud) == [("Review", cloud.deal, cloud.contact)]
    assert cloud.hs_names("meetings", "hs_meeting_title") == ["Review"]


def test_a_mailbox_out_of_scope_holds_back_no_other(cloud: CloudCalendar) -> None:
    cloud.graph.condition("scope", mailboxes=[BOB])
    cloud.meets(BOB, "Review")
    _code, report = cloud("sync")
    cloud("sync")
    assert shown(cloud) == [("Review", cloud.deal, cloud.contact)]
    assert "management scope" in str(report["failed"]) + str(report["problems"])


def asked_of(cloud: CloudCalendar, mailbox: str) -> int:
    return sum(mailbox in entry.path for entry in cloud.graph.log)


def test_a_paused_mailbox_is_not_read_and_what_its_rep_hides_is_taken_back_all_the_same(cloud: CloudCalendar) -> None:
    cloud.meets(ANN, "Kick-off")
    cloud.sync(2)
    code, _told = cloud("pause", ANN.upper(), "--why", "on leave")
    assert code == 0
    cloud.meets(ANN, "Unread")
    cloud.meets(BOB, "Review")
    asked = asked_of(cloud, ANN)
    _code, report = cloud("sync")
    assert report["paused"][f"microsoft365 calendar/{ANN}"].endswith("(on leave): it is not read")
    assert asked_of(cloud, ANN) == asked
    cloud.sync()
    assert [subject for subject, _deal, _contact in shown(cloud)] == ["Kick-off", "Review"]
    cloud("my-calendar", "show", "none", "--as", ANN)
    cloud.sync(2)
    assert [subject for subject, _deal, _contact in shown(cloud)] == ["Review"]
    cloud("resume", ANN)
    cloud("my-calendar", "show", "full", "--as", ANN)
    cloud.sync(2)
    assert [subject for subject, _deal, _contact in shown(cloud)] == ["Kick-off", "Review", "Unread"]


def test_a_teams_meeting_is_planned_and_its_join_link_reaches_the_workspace(cloud: CloudCalendar) -> None:
    cloud.sync()
    wish = ("Pumps", "--as", ANN, "--start", "2099-01-05T10:00", "--zone", "UTC", "--teams")
    code, told = cloud("meet", "plan", *wish)
    assert (code, told["invite"]) == (0, False)
    cloud.sync(2)
    _code, held = cloud("export", "ics", "--out", str(cloud.folder / "out.ics"))
    assert held["meetings"] == 1
    assert "https://teams.microsoft.com/" in (cloud.folder / "out.ics").read_text().replace("\r\n ", "")


@pytest.mark.slow
def test_a_meeting_that_another_tool_marks_waits_with_advice_and_the_rest_goes_on(cloud: CloudCalendar) -> None:
    """Ann is read through Graph, Bob through EWS; each mark is a category, and only where it stands does a meeting wait."""
    cloud.write(microsoft365={"mailboxes": [ANN]})
    settings = cloud.folder / "sidefeed.toml"
    plain = settings.read_text()
    settings.write_text(plain + '\n[calendars]\nforeign_marks = {"Filer" = ["Filed by Filer"]}\n')
    cloud.exchange.properties["crm_link_state"] = (
        PropertyKey(set="00020329-0000-0000-c000-000000000046", name="crmLinkState"), "Double")
    cloud.meets(ANN, "Tracked", categories=["Tracked to Dynamics 365", "Red"])
    quietly = cloud.meets(ANN, "Tracked quietly", days=4, crm_link_state="2")
    cloud.meets(ANN, "Plain", days=2, categories=["Red"])
    marked = cloud.meets(BOB, "Filed", days=3, categories=["filed by filer"])
    _code, report = cloud("sync")
    cloud.sync()
    assert [subject for subject, _deal, _contact in shown(cloud)] == ["Plain"]
    told = {(one["record"], one["owner"]): one["message"] for one in report["problems"] if one["code"] == "two-tools"}
    assert set(told) == {(ANN, "admin"), (BOB, "admin")}
    assert "Dynamics 365" in told[ANN, "admin"] and "accepted_tools" in told[ANN, "admin"]
    assert told[ANN, "admin"].startswith("2 meetings") and "the hidden property crmLinkState" in told[ANN, "admin"]
    assert "Tracked" not in told[ANN, "admin"].replace("Tracked to Dynamics 365", "").replace("'tracked to", "")
    _code, mine = cloud("my-calendar", "--as", ANN)
    assert [one["why"] for one in mine["meetings"]].count("waits: Dynamics 365 files it") == 2
    _code, status = cloud("status")
    assert [(one["mailbox"], one["tool"]) for one in status["two_tools"]] == [
        (ANN, "Dynamics 365"), (ANN, "Dynamics 365"), (BOB, "Filer")]
    assert "accepted_tools" in status["two_tools"][0]["fix"] and status["shared_uids"] == []
    cloud.exchange.call(lambda: cloud.exchange.update_event(BOB, marked, categories=[]))
    cloud.exchange.call(lambda: cloud.exchange.update_event(ANN, quietly, crm_link_state="0"))
    cloud.sync(2)
    assert [subject for subject, _deal, _contact in shown(cloud)] == ["Filed", "Plain", "Tracked quietly"]


@pytest.mark.slow
def test_a_mark_on_a_filed_meeting_stops_every_further_write_of_it_until_somebody_decides(cloud: CloudCalendar) -> None:
    """Ann is read through Graph, Bob through EWS. Both have the meeting, and a tool marks the copy of one of them."""
    cloud.write(microsoft365={"mailboxes": [ANN]})
    both = {"uid": "shared-review", "organizer": ANN}
    mark = ["Tracked to Dynamics 365"]
    own = cloud.meets(ANN, "Review", **both)
    kept = cloud.meets(BOB, "Review", **both)
    cloud.meets(ANN, "Plain", days=2)
    cloud.sync(2)
    cloud.exchange.call(lambda: cloud.exchange.update_event(ANN, own, subject="Review moved"))
    cloud.exchange.call(lambda: cloud.exchange.update_event(BOB, kept, categories=mark))
    _code, report = cloud("sync")
    (told,) = [one["message"] for one in report["problems"] if one["code"] == "two-tools"]
    assert told.startswith("A meeting") and "filed here before it was marked" in told and "delete its activity" in told
    assert "Review" not in told and report["counts"].get("written", 0) == 0
    assert [subject for subject, _deal, _contact in shown(cloud)] == ["Plain", "Review"]
    (line,) = cloud("status")[1]["two_tools"]
    assert (line["mailbox"], line["tool"], line["filed"]) == (BOB, "Dynamics 365", True)
    (why,) = [one["why"] for one in cloud("my-calendar", "--as", BOB)[1]["meetings"] if "Dynamics" in one["why"]]
    assert why.startswith("is in the CRMs as it was")
    with (cloud.folder / "sidefeed.toml").open("a") as settings:
        settings.write('\n[calendars]\naccepted_tools = ["Dynamics 365"]\n')
    cloud.sync()
    assert [subject for subject, _deal, _contact in shown(cloud)] == ["Plain", "Review moved"]
    assert sorted(cloud.hs_names("meetings", "hs_meeting_title")) == ["Plain", "Review moved"]
    assert cloud("status")[1]["two_tools"] == []


@pytest.mark.slow
def test_a_marked_meeting_that_turns_private_is_taken_back_all_the_same(cloud: CloudCalendar) -> None:
    meeting = cloud.meets(ANN, "Review")
    other = cloud.meets(ANN, "Lunch", days=2)
    cloud.sync(2)
    for one in (meeting, other):
        cloud.exchange.call(lambda one=one: cloud.exchange.update_event(
            ANN, one, subject="Secret", categories=["Tracked to Dynamics 365"]))
    cloud.sync()
    assert [subject for subject, _deal, _contact in shown(cloud)] == ["Lunch", "Review"]
    cloud.exchange.call(lambda: cloud.exchange.update_event(ANN, meeting, sensitivity="Private"))
    cloud.sync(2)
    assert [subject for subject, _deal, _contact in shown(cloud)] == ["Lunch"]
    cloud.exchange.call(lambda: cloud.exchange.update_event(ANN, other, subject="Lunch", categories=[]))
    cloud.exchange.call(lambda: cloud.exchange.update_event(ANN, other, subject="Lunch moved"))
    cloud.sync()
    (event,) = cloud.events()
    assert event["Subject"] == "Lunch moved"
    cloud.exchange.call(lambda: cloud.exchange.update_event(ANN, other, categories=["Tracked to Dynamics 365"]))
    cloud.sync()
    cloud.salesforce.call(lambda: cloud.salesforce.delete("Event", event["Id"]))
    cloud.sync(2)
    assert shown(cloud) == [] and cloud.hs_names("meetings", "hs_meeting_title") == []


@pytest.mark.slow
def test_a_tool_that_is_accepted_holds_no_meeting_back(cloud: CloudCalendar) -> None:
    settings = cloud.folder / "sidefeed.toml"
    settings.write_text(settings.read_text() + '\n[calendars]\naccepted_tools = ["dynamics 365"]\n')
    cloud.meets(ANN, "Tracked", categories=["Tracked to Dynamics 365"])
    cloud.sync(2)
    assert [subject for subject, _deal, _contact in shown(cloud)] == ["Tracked"]


def test_a_mark_of_another_tool_is_known_in_any_case_of_letters_until_the_tool_is_accepted() -> None:
    policy = CalendarPolicy(foreign_marks={"filed": "Filer"})
    assert tool_of(["Red", " TRACKED to Dynamics 365 "], policy) == "Dynamics 365"
    assert tool_of(["Filed"], policy) == "Filer"
    assert tool_of(["Red", "Don't Sync with Salesforce"], policy) is None
    accepted = CalendarPolicy(foreign_marks={"filed": "Filer"}, accepted_tools=frozenset({"filer"}))
    assert tool_of(["Filed"], accepted) is None
    assert tool_of(["Filed", "Added to Salesforce"], accepted) == "Salesforce for Outlook"


def tool_of(marks: list[str], policy: CalendarPolicy) -> str | None:
    found = claim(marks, policy)
    return None if found is None else found.tool


@pytest.mark.slow
def test_a_uid_used_twice_and_people_without_an_address_lose_and_double_nothing(cloud: CloudCalendar) -> None:
    """Ann through Graph, Bob through EWS; in each mailbox two meetings share a UID, the second made after the first."""
    cloud.write(microsoft365={"mailboxes": [ANN]})
    for box in (ANN, BOB):
        cloud.meets(box, f"One {box[:3]}", uid=f"again-{box}")
        cloud.meets(box, f"Crowd {box[:3]}", days=4, attendees=[("Nobody", ""), GUEST])
    cloud.sync(2)
    for box in (ANN, BOB):
        cloud.meets(box, f"Two {box[:3]}", days=3, uid=f"again-{box}")
    code, report = cloud("sync")
    told = {one["record"]: one["message"] for one in report["problems"] if one["code"] == "uid-shared"}
    assert code == 1 and set(told) == {ANN, BOB}
    for message in told.values():
        assert message.startswith("2 meetings (20") and "One" not in message and "Two" not in message
    cloud.sync()
    filed = [f"{name} {box}" for name in ("Crowd", "One", "Two") for box in ("ann", "bob")]
    assert [subject for subject, _deal, _contact in shown(cloud)] == filed
    assert cloud.hs_names("meetings", "hs_meeting_title") == filed
    _code, report = cloud("sync")
    assert report["counts"].get("written", 0) == 0 and report["failed"] == {} and report["problems"] == []
    _code, status = cloud("status")
    assert [(one["mailbox"], len(one["starts"])) for one in status["shared_uids"]] == [(BOB, 2), (ANN, 2)]
    assert not any(word in str(status["shared_uids"]) for word in ("One", "Two ", "again-"))
