"""Which meeting an item is, whatever calendar it lies in: the series UID and the original start.

Store ids are no identity: they differ between mailboxes and change when an item moves. The UID alone is none either,
because all occurrences of a series share it.
"""

from __future__ import annotations

import base64
import hashlib
import re

SINGLE = "single"
"""The original start of a meeting that does not recur; it keeps its key when it is moved."""

# MS-OXOCAL, PidLidGlobalObjectId: class id, then four bytes of the instance date, then creation time and data.
_GLOBAL_ID = re.compile(r"040000008200E00074C5B7101A82E008[0-9A-F]*", re.ASCII)
_CLASS_ID_DIGITS, _DATE_DIGITS = 32, 8
_WRAPPED = b"vCal-Uid\x01\x00\x00\x00"


def normalised_uid(uid: str) -> str:
    """The UID that all copies and occurrences share.

    Exchange's own ids lose their instance date and their case; an iCalendar UID that Exchange wrapped is unwrapped, so
    that a copy on a CalDAV server meets it; any other UID stays as it is.
    """
    plain = uid.strip()
    upper = plain.upper()
    if not _GLOBAL_ID.fullmatch(upper) or len(upper) % 2:
        return plain
    raw = bytes.fromhex(upper)
    if _WRAPPED in raw:
        return raw.partition(_WRAPPED)[2].rstrip(b"\x00").decode("utf-8", "replace")
    return upper[:_CLASS_ID_DIGITS] + "0" * _DATE_DIGITS + upper[_CLASS_ID_DIGITS + _DATE_DIGITS :]


def meeting_key(uid: str, original_start: str) -> str:
    """``v1:`` and 32 lower-case characters: safe where values compare without case, and reveals nothing.

    ``original_start`` is ``single``, a UTC instant (``2026-11-21T08:00:00Z``) or, for all-day series, a date.
    """
    digest = hashlib.sha256(f"{normalised_uid(uid)}\n{original_start}".encode()).digest()
    return "v1:" + base64.b32encode(digest[:20]).decode().lower()
