"""Marks that a tool leaves on a meeting where no client shows them.

Two kinds. A named property of Exchange and Microsoft 365 is written as Graph writes its id,
``String {00020329-0000-0000-C000-000000000046} Name crmid``; one that is blank or zero says nothing. A property of
iCalendar is written by its name, ``X-EXAMPLE-ID``. What is neither is an Outlook category.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

PUBLIC_STRINGS = "{00020329-0000-0000-C000-000000000046}"
"""PS_PUBLIC_STRINGS, where Outlook keeps what it calls user-defined fields (MS-OXPROPS, 1.3.2)."""

HIDDEN = {
    f"Double {PUBLIC_STRINGS} Name crmLinkState": "Dynamics 365",
    f"String {PUBLIC_STRINGS} Name SEntryID": "SuiteCRM",
}
"""Sources: Dynamics CRM support blog, "Outlook client: user-defined fields" (1 pending, 2 tracked, 0 tracked no more);
SuiteCRM Outlook add-in, ``SyncStateManager.CrmIdPropertyName``. Salesforce, HubSpot and Copilot for Sales document no
such name."""

_NAMED = re.compile(r"(String|Integer|Double) (\{[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}) Name (\S.*)", re.I)
_BEGINS = re.compile(r"\w+ \{")
_ICALENDAR = re.compile(r"X-[A-Z0-9-]+", re.I)


@dataclass(frozen=True, slots=True)
class Named:
    """A named property: its type, its set and its name, which compares with case."""

    type: str
    set: str
    name: str

    @property
    def id(self) -> str:
        return f"{self.type} {self.set} Name {self.name}"


def named(mark: str) -> Named | None:
    """The named property that a mark is; None for another kind of mark. Raises ValueError for one that is malformed."""
    found = _NAMED.fullmatch(mark.strip())
    if found is not None:
        return Named(found[1].capitalize(), found[2].upper(), found[3])
    if _BEGINS.match(mark.strip()):
        raise ValueError(f"{mark!r} is no named property: write it as 'String {{GUID}} Name NAME', or with Integer or "
                         "Double for a number")
    return None


def all_named(marks: Iterable[str]) -> tuple[Named, ...]:
    """The named properties that are known, and those among some marks. Raises ValueError."""
    found = (named(mark) for mark in (*HIDDEN, *marks))
    return tuple(dict.fromkeys(each for each in found if each is not None))


def said(value: str | None) -> bool:
    """Whether a value of a named property marks anything: not where it is blank or zero."""
    text = (value or "").strip()
    try:
        return bool(text) and float(text) != 0
    except ValueError:
        return True


def shown(mark: str) -> str:
    """A mark in words."""
    if (found := named(mark)) is not None:
        return f"the hidden property {found.name}"
    return f"the property {mark.upper()}" if _ICALENDAR.fullmatch(mark) else f"the category {mark!r}"
