"""What of Graph's requests and answers may be kept in a recording: of an event its ids, times and states alone.

``request-id`` and ``x-ms-ags-diagnostic`` are what Microsoft's support asks for ("Microsoft Graph error responses").
"""

from __future__ import annotations

from sidefeed.connector import Recordable

RECORDABLE = Recordable(
    request_ids=("request-id",),
    headers=("client-request-id", "x-ms-ags-diagnostic", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"),
    bodies="shape",
    plain=frozenset((
        "id icaluid uid changekey seriesmasterid occurrenceid transactionid method url status code error request-id "
        "client-request-id date datetime timezone type sensitivity showas importance response reason createddatetime "
        "lastmodifieddatetime originalstart originalstarttimezone originalendtimezone startdate enddate "
        "recurrencetimezone firstdayofweek daysofweek index prefer content-type retry-after if-match token_type "
        "token_endpoint authorization_endpoint issuer scope "
        "@odata.context @odata.etag @odata.type @odata.nextlink @odata.deltalink contenttype").split()),
    codes=r'"(?:code|error)"\s*:\s*"(\w+)"',
)
