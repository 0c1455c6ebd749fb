"""Paths taken apart: v3, v4 and the date versions, which stand in two different places."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import unquote

from .missing import AREAS as MISSING_AREAS
from .missing import LEGACY

VERSIONS = ("2025-09", "2026-03", "2026-09")
STRICT_FROM = "2026-09"
"""From this date version on, an administrator's rules count for API writes (changelog of 2026-08-11)."""


class Route:
    """A path taken apart: area (objects, properties, ...), version, what follows."""

    def __init__(self, parts: list[str], area: str, version: str, rest: list[str]) -> None:
        self.parts = parts
        self.area = area
        self.version = version
        self.rest = rest
        self.dated = version in VERSIONS
        self.strict = self.dated and version >= STRICT_FROM

    @property
    def is_search(self) -> bool:
        """Whether this is a search, which has limits of its own."""
        return self.area == "objects" and len(self.rest) == 2 and self.rest[1] == "search"

    @property
    def is_association(self) -> bool:
        """Whether this counts against the associations quota."""
        return self.area == "associations" or "associations" in self.rest

    @property
    def legacy_associations(self) -> bool:
        """Whether associations go by name, as in v3, and not by type id."""
        return self.version == "v3"

    def label(self, method: str, spellings: Mapping[str, str]) -> str:
        """A name for counters: type names stay, ids and property names become placeholders."""
        if not self.area:
            return f"{method} /" + "/".join(self.parts[:2])
        shown: list[str] = []
        for n, part in enumerate(self.rest):
            known = spellings.get(part.lower())
            if part in _WORDS:
                shown.append(part)
            elif known and self.area != "owners" and not (part.isdigit()):
                shown.append(known)
            else:
                shown.append("{type}" if n == 0 and self.area in ("objects", "properties", "pipelines") else "{id}")
        return f"{method} /{'/'.join([self.area, *shown])}"


_WORDS = frozenset(
    "batch read create update upsert archive search merge gdpr-delete associations default labels groups stages audit "
    "splits types details api-usage daily associate token access-tokens refresh-tokens".split()
)
_AREAS = ("objects", "properties", "associations", "owners", "pipelines", "schemas")


@lru_cache(maxsize=8192)
def split(path: str) -> Route:
    """Take a path apart. A version stands before its area (`/crm/v3/objects`) or behind it (`/crm/objects/2026-03`)."""
    parts = [unquote(part) for part in path.split("/") if part]
    match parts:
        case ["crm", ("v3" | "v4") as version, area, *rest] if area in _AREAS:
            return Route(parts, area, version, rest)
        case ["crm", area, version, *rest] if area in _AREAS and version in (*VERSIONS, "v3", "v4"):
            return Route(parts, area, version, rest)
        case ["crm-object-schemas", version, "schemas", *rest]:
            return Route(parts, "schemas", version, rest)
        case ["account-info", version, *rest]:
            return Route(parts, "account-info", version, rest)
        case ["webhooks" | "app-webhooks", version, *rest]:
            return Route(parts, "webhooks", version, rest)
        case ["oauth", version, *rest]:
            return Route(parts, "oauth", version, rest)
        case ["crm", _, area, *rest] if area in MISSING_AREAS:
            return Route(parts, area, parts[1], rest)
        case [area, *rest] if area in MISSING_AREAS or (area in LEGACY and rest):
            return Route(parts, area if area not in _AREAS else f"legacy {area}", "", rest)
    return Route(parts, "", "", [])
