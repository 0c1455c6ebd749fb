"""What of the requests and answers of CalDAV may be kept in a recording: paths, versions, times and states.

No header names a request in these standards (RFC 4918, 4791, 6578).
"""

from __future__ import annotations

from sidefeed.connector import Recordable

RECORDABLE = Recordable(
    bodies="shape",
    plain=frozenset((
        "href status getetag sync-token sync-level getctag getcontenttype getcontentlength getlastmodified "
        "@name @start @end @content-type @version @collation").split()),
    codes=r"<(?:[\w-]+:)?error[^>]*>\s*<(?:[\w-]+:)?([\w-]+)",
    sent=r"^\s*(?:<\?[^>]*>\s*)?<(?:[\w-]+:)?([\w-]+)",
)
