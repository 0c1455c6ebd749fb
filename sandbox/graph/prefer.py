"""The Prefer header: which ids, which zone, which kind of body, how large a page."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from sandbox.exchange.timezones import UTC_ZONE, Zone, find

from .errors import GraphError

_PART = re.compile(r'\s*([^\s=,;"]+)\s*(?:=\s*(?:"([^"]*)"|([^,;\s"]*)))?\s*(?:[,;]|$)')
MAX_PAGE = 1000


@dataclass
class Prefer:
    """What a request prefers, and what of it was honoured."""

    immutable: bool = False
    zone: Zone = UTC_ZONE
    zone_name: str = "UTC"
    text: bool = False
    page: int | None = None
    applied: list[str] = field(default_factory=list)


def read(header: str) -> Prefer:
    """Preferences of a header; unknown ones are ignored, as HTTP says. Raises `GraphError` for an unknown zone."""
    made = Prefer()
    for name, quoted, plain in _PART.findall(header):
        value = quoted or plain
        match name.lower():
            case "idtype" if value.lower() == "immutableid":
                made.immutable = True
                made.applied.append('IdType="ImmutableId"')
            case "outlook.timezone":
                zone = UTC_ZONE if value == "UTC" else find(value)
                if zone is None:
                    text = f"A valid TimeZone value must be specified. The value '{value}' is not supported."
                    raise GraphError(400, "TimeZoneNotSupportedException", text)
                made.zone, made.zone_name = zone, value
                made.applied.append(f'outlook.timezone="{value}"')
            case "outlook.body-content-type" if value.lower() in ("text", "html"):
                made.text = value.lower() == "text"
                made.applied.append(f'outlook.body-content-type="{value}"')
            case "odata.maxpagesize" if value.isdigit() and int(value) > 0:
                made.page = min(int(value), MAX_PAGE)
                made.applied.append(f"odata.maxpagesize={made.page}")
    return made
