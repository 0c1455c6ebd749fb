"""What of the requests and answers of Domino's calendar service may be kept in a recording: paths, times and states.

The service names no request. ``data`` of an error is a stack trace, and is not kept.
"""

from __future__ import annotations

from sidefeed.connector import Recordable

RECORDABLE = Recordable(
    bodies="shape",
    plain=frozenset((
        "href id uid recurrenceid recurrence-id date time utc tzid class transparency sequence last-modified status "
        "code cserror type").split()),
    codes=r'"cserror"\s*:\s*"?(\d+)',
)
