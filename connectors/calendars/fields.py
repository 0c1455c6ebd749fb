"""The raw fields of meetings, contacts and mailboxes, by one name in every calendar, and what all readers share.

Text that is blank is None, lists are sorted, times are UTC (``…Z``) or, for all-day meetings, dates with the end
exclusive, zones are IANA names where CLDR has one. A connector says beside which of them it writes, and how long they
may be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from sidefeed.connector import FieldSchema

PRIVATE_FIELDS = ("Key", "Start", "End", "Zone", "IsAllDay", "ShowAs", "Sensitivity")
"""All that is ever told of a meeting that is not public: that somebody is busy, and when."""

SENSITIVITIES = ("normal", "personal", "private", "confidential")
SHOW_AS = ("free", "tentative", "busy", "oof", "workingelsewhere", "nodata")
RESPONSES = ("none", "organizer", "tentative", "accept", "decline")


def _table(*fields: FieldSchema) -> dict[str, FieldSchema]:
    return {each.name: each for each in fields}


MEETING = _table(
    FieldSchema("UID", "string", "UID"),
    FieldSchema("OriginalStart", "string", "Original start"),
    FieldSchema("Key", "string", "Meeting key"),
    FieldSchema("Subject", "string", "Subject"),
    FieldSchema("Start", "datetime", "Start"),
    FieldSchema("End", "datetime", "End, exclusive"),
    FieldSchema("Zone", "string", "Time zone"),
    FieldSchema("IsAllDay", "boolean", "All-day event"),
    FieldSchema("Location", "string", "Location"),
    FieldSchema("Body", "text", "Body, as plain text"),
    FieldSchema("Sensitivity", "choice", "Sensitivity", options=SENSITIVITIES, restricted=True),
    FieldSchema("Organizer", "email", "Organiser"),
    FieldSchema("IsOrganizer", "boolean", "This mailbox organises it"),
    FieldSchema("Attendees", "attendees", "Attendees"),
    FieldSchema("MyResponse", "choice", "Response of this mailbox", options=RESPONSES),
    FieldSchema("IsCancelled", "boolean", "Cancelled"),
    FieldSchema("ShowAs", "choice", "Show as", options=SHOW_AS, restricted=True),
    FieldSchema("JoinUrl", "url", "Join link"),
    FieldSchema("Series", "boolean", "Part of a series"),
    FieldSchema("Categories", "set", "Categories"),
    FieldSchema("Marks", "set", "Categories and marks of other tools"),
)
CONTACT = _table(
    FieldSchema("Categories", "set", "Categories"),
    FieldSchema("DisplayName", "string", "Display name"),
    FieldSchema("GivenName", "string", "First name"),
    FieldSchema("CompanyName", "string", "Company"),
    FieldSchema("EmailAddress1", "email", "E-mail 1"),
    FieldSchema("EmailAddress2", "email", "E-mail 2"),
    FieldSchema("EmailAddress3", "email", "E-mail 3"),
    FieldSchema("BusinessPhone", "phone", "Business phone"),
    FieldSchema("MobilePhone", "phone", "Mobile phone"),
    FieldSchema("JobTitle", "string", "Job title"),
    FieldSchema("Surname", "string", "Last name"),
)
MAILBOX = _table(
    FieldSchema("address", "email", "Primary SMTP address", createable=False, updateable=False, unique=True),
    FieldSchema("name", "string", "Display name", createable=False, updateable=False),
)


def field(name: str, *, writable: bool = True, **more: Any) -> FieldSchema:
    """A field of a meeting or contact, as one system has it."""
    return replace((MEETING | CONTACT)[name], createable=writable, updateable=writable, **more)


def tidy(text: Any) -> str | None:
    """None where there is nothing to see; the text itself is left as the person wrote it."""
    return text if isinstance(text, str) and text.strip() else None


def in_order(people: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Attendees as every calendar tells them: by address, name and role."""
    return sorted(people, key=lambda each: (each["address"] or "", each["name"] or "", each["role"]))


_CONFERENCE = re.compile(
    r"https://(?:[a-z0-9-]+\.)*(?:teams\.microsoft\.com|teams\.live\.com|zoom\.us|meet\.google\.com|webex\.com|"
    r"gotomeet\.me|whereby\.com|meet\.jit\.si)/[^\s<>\"']+", re.IGNORECASE)


def conference_link(*texts: str | None) -> str | None:
    """The first link of a known conference service in these texts."""
    return next((found[0] for text in texts if (found := _CONFERENCE.search(text or ""))), None)
