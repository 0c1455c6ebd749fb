"""One table of settings, as the connectors for calendars read it: checked before anything is sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from connectors.address import is_guarded
from sidefeed.calendars.marks import Named, all_named
from sidefeed.connector import Invalid

from . import window


@dataclass(frozen=True, slots=True)
class Table:
    """The values of one system; every error names the product, the setting, and what is wrong with it."""

    product: str
    values: Mapping[str, Any]

    def wrong(self, name: str, why: str) -> Invalid:
        return Invalid(f"{self.product} setting {name!r} {why}.", field=name, rule="setting", code="bad-setting",
                       owner="ops")

    def of(self, values: Mapping[str, Any]) -> Table:
        """Another table of the same system, such as the login of one mailbox."""
        return Table(self.product, values)

    def given(self, name: str) -> str:
        """A text, blank where it is missing; a pydantic or Prefect secret is opened."""
        value: Any = self.values.get(name) or ""
        return str(value.get_secret_value() if hasattr(value, "get_secret_value") else value)

    def text(self, name: str, *, strip: bool = True) -> str:
        """A required text. Raises Invalid."""
        value: Any = self.values.get(name)
        if hasattr(value, "get_secret_value"):
            value = value.get_secret_value()
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(name, "is missing")
        return value.strip() if strip else value

    def url(self, name: str, example: str, *, default: str = "", bare: bool = False, lan: bool = False) -> str:
        """An address without a user, and without a path where it is ``bare``.

        Credentials never travel in the open: it is https, or http on this machine for a practice server. ``lan`` says
        that ``allow_http`` may permit more, for a server that is reached inside a guarded network. Raises Invalid.
        """
        url = (self.given(name) or default).strip()
        if not url:
            raise self.wrong(name, "is missing")
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or (
            bare and parts.path.strip("/")
        ):
            raise self.wrong(name, f"must be an address such as {example}, without a user{' or path' * bare}")
        if not is_guarded(parts) and not (lan and self.flag("allow_http")):
            more = "; if the network between is guarded, set allow_http: true" if lan else ""
            raise self.wrong(name, f"must start with https://, because credentials travel there{more}")
        return url

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        value = str(self.values.get(name) or default).lower()
        if value not in choices:
            raise self.wrong(name, f"is {value!r}; it must be one of {', '.join(choices)}")
        return value

    def flag(self, name: str) -> bool:
        """A switch, off by default; environment variables give it as text."""
        value = str(self.values.get(name, False)).strip().lower()
        if value not in ("true", "false", "1", "0", "yes", "no", "none", ""):
            raise self.wrong(name, "must be true or false")
        return value in ("true", "1", "yes")

    def zone(self) -> str:
        """``timezone``, which must be one that this machine knows; UTC where it is missing."""
        name = str(self.values.get("timezone") or "UTC")
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            raise self.wrong("timezone", f"is {name!r}, which is no zone such as Europe/Berlin") from None
        return name

    def ca_file(self) -> str | None:
        value = self.values.get("ca_file")
        if value and not Path(str(value)).is_file():
            raise self.wrong("ca_file", f"names {value}, which is not a file")
        return str(value) if value else None

    def timeout(self) -> float:
        return float(self.values.get("timeout") or 60)

    def days(self) -> tuple[int, int]:
        """How far back and ahead calendars are read."""
        return window.days(self.values, self.wrong)

    def marks(self) -> tuple[Named, ...]:
        """The named properties by which other tools are known: those known to all, and ``hidden_marks``."""
        told = self.values.get("hidden_marks") or ()
        try:
            return all_named([told] if isinstance(told, str) else told)
        except ValueError as error:
            raise self.wrong("hidden_marks", f"holds a mark that cannot be looked for: {error}") from None

    def mailboxes(self, refused: str = " <>/") -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Address and own table of each of ``mailboxes``: texts (a list, or one text of several), or tables with
        ``address``. Characters in ``refused`` make no address. Raises Invalid."""
        entries = self.values.get("mailboxes") or ()
        if isinstance(entries, str):
            entries = [part for part in entries.replace(",", " ").split() if part]
        for entry in entries:
            told: Mapping[str, Any] = entry if isinstance(entry, Mapping) else {"address": entry}
            address = told.get("address")
            if not isinstance(address, str) or address.count("@") != 1 or any(mark in address for mark in refused):
                raise self.wrong("mailboxes", f"names {address!r}, which is not an e-mail address")
            yield address.strip().lower(), told
        if not entries:
            raise self.wrong("mailboxes", "is missing: list the addresses of the mailboxes to read")

    def logins(self) -> Iterator[tuple[str, Mapping[str, Any], Table]]:
        """Address and own table of each mailbox, and what it signs in with: its own, else its entry in
        ``credentials``, else the system's."""
        credentials = {str(address).lower(): login for address, login in (self.values.get("credentials") or {}).items()}
        for address, told in self.mailboxes():
            yield address, told, self.of({**self.values, **(credentials.get(address) or {}), **told})
