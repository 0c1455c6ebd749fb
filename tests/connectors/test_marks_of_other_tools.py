"""What another tool leaves on a meeting and no client shows, read through EWS, Graph and CalDAV, meeting by meeting."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from exchangelib import CalendarItem, ExtendedProperty
from exchangelib.recurrence import DailyPattern, Recurrence

from connectors.calendars import events
from connectors.calendars.window import rolling
from sandbox.exchange.store import PropertyKey
from sidefeed.calendars import CalendarPolicy, marks
from sidefeed.calendars.foreign import claim
from sidefeed.connector import Invalid, Stream
from sidefeed.project import CalendarSettings
from tests.connectors import exchange_office, graph_office
from tests.connectors.caldav_office import calendar, event
from tests.connectors.exchange_office import ANN, MONDAY, read

STREAM, FIELDS = Stream("calendar", ANN), ("Subject", "Marks")
SET = marks.PUBLIC_STRINGS.strip("{}").lower()
DYNAMICS = f"Double {marks.PUBLIC_STRINGS} Name crmLinkState"
RIVA = f"String {marks.PUBLIC_STRINGS} Name CRMID"


class LinkState(ExtendedProperty):
    property_set_id = SET
    property_name = "crmLinkState"
    property_type = "Double"


class RivaId(ExtendedProperty):
    property_set_id = SET
    property_name = "CRMID"
    property_type = "String"


@pytest.fixture
def outlook() -> Iterator[exchange_office.Office]:
    CalendarItem.register("crm_link_state", LinkState)
    CalendarItem.register("riva_id", RivaId)
    server = exchange_office.practice_server()
    office = exchange_office.Office(server)
    yield office
    office.close()
    server.stop()
    CalendarItem.deregister("crm_link_state")
    CalendarItem.deregister("riva_id")
    assert server.crashes == []


@pytest.fixture
def cloud() -> Iterator[graph_office.Office]:
    server = graph_office.practice_server()
    server.office.properties |= {
        "crm_link_state": (PropertyKey(set=SET, name="crmLinkState"), "Double"),
        "riva_id": (PropertyKey(set=SET, name="CRMID"), "String")}
    office = graph_office.Office(server)
    yield office
    office.close()
    server.stop()
    assert server.crashes == []


def test_exchange_tells_named_properties_and_of_private_meetings_none(outlook: exchange_office.Office) -> None:
    outlook.meets("tracked", crm_link_state=Decimal(2), categories=["Red"])
    outlook.meets("tracked no more", crm_link_state=Decimal(0))
    outlook.meets("plain")
    outlook.meets("other", riva_id="0016F00002")
    hidden = outlook.meets("secret", crm_link_state=Decimal(2), sensitivity="Private").id
    series = stand_up(outlook)
    for settings, others in (({}, []), ({"hidden_marks": [RIVA]}, [RIVA])):
        told, _ = read(outlook.connect(**settings), STREAM, fields=FIELDS)
        assert "Marks" not in (told.pop(hidden).values or {})
        found = {str((one.values or {})["Subject"]): (one.values or {})["Marks"] for one in told.values()}
        assert found == {"tracked": [DYNAMICS, "Red"], "tracked no more": [], "plain": [], "other": others,
                         "stand-up": [DYNAMICS]}
        assert sum(one.startswith(series) for one in told) == 3, "a mark of a series is one of all its occurrences"
    with pytest.raises(Invalid, match=r"hidden_marks.*GUID"):
        outlook.connect(hidden_marks=["String {nonsense} Name CRMID"])


def stand_up(office: exchange_office.Office) -> str:
    start = exchange_office.at(2, 9)
    rule = Recurrence(pattern=DailyPattern(interval=1), start=start.date(), number=3)
    made: str = office.meets("stand-up", start=start, recurrence=rule, crm_link_state=Decimal(1)).id
    return made


def test_graph_is_asked_once_a_round_which_events_carry_a_property(cloud: graph_office.Office) -> None:
    cloud.meets("tracked", crm_link_state="2", categories=["Red"])
    gone = cloud.meets("tracked no more", crm_link_state="0")
    cloud.meets("plain")
    cloud.meets("other", riva_id="0016F00002")
    hidden = cloud.meets("secret", crm_link_state="2", sensitivity="Private")
    graph_office.read(cloud.connect(), STREAM, fields=("Subject",))
    calls = cloud.calls()
    for settings, others in (({}, []), ({"hidden_marks": [RIVA]}, [RIVA])):
        told, cursor = graph_office.read(connector := cloud.connect(**settings), STREAM, fields=FIELDS)
        assert "Marks" not in (told.pop(hidden).values or {})
        found = {str((one.values or {})["Subject"]): (one.values or {})["Marks"] for one in told.values()}
        assert found == {"tracked": [DYNAMICS, "Red"], "tracked no more": [], "plain": [], "other": others}
    assert cloud.calls() - calls == 2 * (calls + 1), "one request more than without, however many events there are"
    cloud.edits(gone, crm_link_state="1")
    again, cursor = graph_office.read(connector, STREAM, cursor, fields=FIELDS)
    assert (again[gone].values or {})["Marks"] == [DYNAMICS]
    calls = cloud.calls()
    assert graph_office.read(connector, STREAM, cursor, fields=FIELDS)[0] == {} and cloud.calls() == calls + 1


def test_one_marked_occurrence_of_a_series_is_known_by_itself(
    outlook: exchange_office.Office, cloud: graph_office.Office,
) -> None:  # fmt: skip
    """The list of what carries a property tells single meetings and series alone; an exception is asked by itself."""
    outlook.server.properties["crm_link_state"] = PropertyKey(set=SET, name="crmLinkState"), "Double"
    for office, server, fetch in ((outlook, outlook.server, read), (cloud, cloud.server.office, graph_office.read)):
        rule = {"daily": 1, "count": 4}
        series = server.call(lambda server=server, rule=rule: server.create_event(
            ANN, subject="stand-up", start=graph_office.at(2, 9), end=graph_office.at(2, 10), recurrence=rule))
        for number, state in ((2, "2"), (3, "0")):
            server.call(lambda server=server, series=series, number=number, state=state: server.update_event(
                ANN, series, occurrence=number, subject=f"stand-up {number}", crm_link_state=state))
        told, cursor = fetch(connector := office.connect(), STREAM, fields=FIELDS)
        found = {str(values["Subject"]): values["Marks"] for one in told.values() if (values := one.values)}
        assert found == {"stand-up": [], "stand-up 2": [DYNAMICS], "stand-up 3": []}
        server.call(lambda server=server, series=series: server.update_event(
            ANN, series, occurrence=3, crm_link_state="1"))
        changed, _cursor = fetch(connector, STREAM, cursor, fields=FIELDS)
        assert sorted(str(one.values["Subject"]) for one in changed.values() if one.values and one.values["Marks"]) == [
            "stand-up 2", "stand-up 3"]
        again = {one.id: one.values for one in connector.fetch(STREAM, FIELDS, sorted(told))}
        assert sorted(str(each["Subject"]) for each in again.values() if each and each["Marks"]) == [
            "stand-up 2", "stand-up 3"]


def test_icalendar_tells_the_names_of_properties_that_say_something() -> None:
    text = calendar(event("a", "SUMMARY:x", "CATEGORIES:Red", "X-RIVA-ID:17", "X-EMPTY:", "X-SIDEFEED-LINK:r:1"))
    ((_uid, one),) = events.by_uid(events.parse(text.encode())).items()
    (meeting,) = events.meetings(one, rolling(MONDAY, 30, 30), "UTC")
    assert events.read(meeting, ANN, FIELDS, "UTC")["Marks"] == ["Red", "X-APPLE-THING", "X-RIVA-ID"]
    policy = CalendarSettings(foreign_marks={"Riva": ["x-riva-id", RIVA]}).policy()
    found = claim(["Red", "X-APPLE-THING", "X-RIVA-ID"], policy)
    assert found is not None and (found.tool, marks.shown(found.mark)) == ("Riva", "the property X-RIVA-ID")
    assert (claim([RIVA], policy) or found).mark == RIVA
    assert claim(["X-APPLE-THING", "Red"], policy) is None


def test_settings_take_hidden_marks_beside_categories_and_refuse_a_malformed_one() -> None:
    settings = CalendarSettings(foreign_marks={"Riva": ["Synced by Riva", RIVA, "X-RIVA-ID"]})
    assert settings.shared() == {"hidden_marks": [RIVA]}
    found = claim([DYNAMICS], settings.policy())
    assert found is not None and (found.tool, marks.shown(found.mark)) == (
        "Dynamics 365", "the hidden property crmLinkState")
    assert claim([DYNAMICS], CalendarPolicy(accepted_tools=frozenset({"dynamics 365"}))) is None
    with pytest.raises(ValueError, match="write it as 'String"):
        CalendarSettings(foreign_marks={"Riva": ["String {00020329} Name CRMID"]})
