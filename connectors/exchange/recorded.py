"""What of the requests and answers of EWS may be kept in a recording: of an item its ids, times and states alone.

``request-id`` and the names of the servers are what an administrator looks for in the logs of Exchange.
"""

from __future__ import annotations

from sidefeed.connector import Recordable

RECORDABLE = Recordable(
    request_ids=("request-id",),
    headers=("X-FEServer", "X-CalculatedBETarget", "X-DiagInfo", "x-ms-diagnostics", "X-AnchorMailbox"),
    bodies="shape",
    plain=frozenset((
        "responsecode responseclass id changekey start end originalstart recurrenceid recurringmasterid uid "
        "datetimestamp datetimecreated lastmodifiedtime isallday isalldayevent iscancelled ismeeting isrecurring "
        "isorganizer calendaritemtype legacyfreebusystatus sensitivity myresponsetype responsetype syncstate "
        "includeslastiteminrange baseshape bodytype itemclass primarysmtpaddress maxchangesreturned syncscope "
        "includemimecontent startdate enddate numberofoccurrences daysofweek interval month dayofmonth dayofweekindex "
        "timezone @fielduri @fieldindex @propertysetid @distinguishedpropertysetid @propertyname @propertytag "
        "@propertytype @propertyid @traversal @basepoint @offset @indexedpagingoffset @maxentriesreturned "
        "@totalitemsinview @version @majorversion @minorversion @majorbuildnumber @minorbuildnumber @key @order "
        "@messagedisposition @sendmeetinginvitations @sendmeetinginvitationsorcancellations @sendmeetingcancellations "
        "@conflictresolution @deletetype @startdate @enddate @maxentries").split()),
    codes=r"ResponseCode>(?!NoError<)(\w+)<",
    sent=r"Body>\s*<(?:[\w-]+:)?(\w+)",
)
