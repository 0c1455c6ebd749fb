"""Zones under the names that they have now: two calendars that keep one under its old and its new name agree."""

from __future__ import annotations

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

RENAMED = {
    "America/Buenos_Aires": "America/Argentina/Buenos_Aires", "America/Godthab": "America/Nuuk",
    "America/Indianapolis": "America/Indiana/Indianapolis", "America/Louisville": "America/Kentucky/Louisville",
    "Asia/Calcutta": "Asia/Kolkata", "Asia/Dacca": "Asia/Dhaka", "Asia/Katmandu": "Asia/Kathmandu",
    "Asia/Rangoon": "Asia/Yangon", "Asia/Saigon": "Asia/Ho_Chi_Minh", "Asia/Ulan_Bator": "Asia/Ulaanbaatar",
    "Atlantic/Faeroe": "Atlantic/Faroe", "Europe/Kiev": "Europe/Kyiv", "Pacific/Enderbury": "Pacific/Kanton",
    "Etc/UTC": "UTC", "Etc/UCT": "UTC", "Etc/Zulu": "UTC", "Zulu": "UTC"}
"""Old name -> new name. CLDR, and so every table from Windows names, keeps the names that these zones had before IANA
renamed them (file ``backward`` of the tz database); people and other systems use the new ones."""


def present(name: str) -> str:
    """The name that a zone has now."""
    return RENAMED.get(name, name)


def is_known(name: str) -> bool:
    """Whether a zone is one of IANA's, and not one that only its own calendar knows."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
