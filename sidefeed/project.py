"""A project: one folder with ``sidefeed.toml``, the mapping files and, by default, the workspace database.

Settings come from ``sidefeed.toml`` and, over it, from the environment: ``SIDEFEED_WORKSPACE``, ``SIDEFEED_MAPPINGS``,
``SIDEFEED_<SYSTEM>__<KEY>`` (``SIDEFEED_SALESFORCE__SESSION_ID``) and ``SIDEFEED_VALUES__<NAME>``. A key that ends in
``_file`` names a file whose content is the value, which is how secrets reach a container. Secrets are never printed.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from sidefeed.calendars import CalendarPolicy, Level
from sidefeed.calendars.marks import named
from sidefeed.installed import entry_points
from sidefeed.workspace.clock import Now, system_now

if TYPE_CHECKING:
    from sidefeed.connector import Connector
    from sidefeed.errors import Codes, ErrorCode
    from sidefeed.mapping import Mapping as Mappings
    from sidefeed.recording import Recorder
    from sidefeed.sync import Engine, Limits
    from sidefeed.sync.budget import Budget
    from sidefeed.sync.capture import Progress
    from sidefeed.sync.shards import Shard
    from sidefeed.workspace import Store, Transaction

FILE = "sidefeed.toml"
ENVIRONMENT = "SIDEFEED_"
LOOPBACK = ("127.0.0.1", "localhost")
NOT_EXPANDED = frozenset({"ca_file", "private_key_file"})
"""Keys that name files by their nature and are handed to the connector as they are."""


class ProjectError(Exception):
    """The project's settings cannot be used; the message says which, why and what to do."""


class GuardSettings(BaseModel):
    """``[guards.contact]``: how many records, and what share of them, may be deleted, or blanked, within the hours of
    ``[limits]``; ``[guards.otherwise]`` stands for every entity that has no table of its own."""

    model_config = ConfigDict(extra="forbid", defer_build=True)
    count: int = Field(ge=0)
    share: float = Field(ge=0, le=1)


class BudgetSettings(BaseModel):
    """``[budget.hubspot]``: the share of a system's daily calls that Sidefeed may use, and how many there are a day
    where the system does not tell (or where fewer are meant)."""

    model_config = ConfigDict(extra="forbid", defer_build=True)
    share: float = Field(default=0.5, gt=0, le=1)
    daily_calls: int | None = Field(default=None, gt=0)


class LimitSettings(BaseModel):
    """``[limits]``: when a guard stops a run, and when a field that flips is parked (`sidefeed.sync.guard.Limits`)."""

    model_config = ConfigDict(extra="forbid", defer_build=True)
    one_field: float = Field(default=0.5, ge=0, le=1)
    one_field_count: int = Field(default=100, ge=0)
    hours: int = Field(default=24, ge=0)
    known: float = Field(default=0.8, ge=0, le=1)
    mails: int = Field(default=0, ge=0)
    flips: int = Field(default=6, ge=2)


class SystemSettings(BaseModel):
    """One ``[systems.<name>]`` table: ``connector`` is the connector's name where it differs from the system's; every
    other key is the connector's own."""

    model_config = ConfigDict(extra="allow", defer_build=True)
    connector: str = ""

    def values(self) -> dict[str, Any]:
        return dict(self.__pydantic_extra__ or {})


class CalendarSettings(BaseModel):
    """``[calendars]``: what may leave the calendars (`sidefeed.calendars.CalendarPolicy` says what each means)."""

    model_config = ConfigDict(extra="forbid", defer_build=True)
    privacy: Level = "full"
    internal_domains: list[str] = Field(default_factory=list)
    blocked_domains: list[str] = Field(default_factory=list)
    confidence: float = Field(default=0.5, ge=0, le=1)
    conference_url: str = ""
    foreign_marks: dict[str, list[str]] = Field(default_factory=dict)
    accepted_tools: list[str] = Field(default_factory=list)
    window_past_days: int | None = Field(default=None, ge=0, le=365)
    window_future_days: int | None = Field(default=None, ge=0, le=365)

    @field_validator("foreign_marks")
    @classmethod
    def _marks(cls, told: dict[str, list[str]]) -> dict[str, list[str]]:
        for mark in (mark for marks in told.values() for mark in marks):
            named(mark)
        return told

    def shared(self) -> dict[str, Any]:
        """What every calendar is read by where its own table does not say so: how far, in days, and the named
        properties that mark what other tools file."""
        hidden = [mark for marks in self.foreign_marks.values() for mark in marks if named(mark)]
        return {**self.model_dump(include={"window_past_days", "window_future_days"}, exclude_none=True),
                **({"hidden_marks": hidden} if hidden else {})}

    def policy(self) -> CalendarPolicy:
        return CalendarPolicy(
            self.privacy, frozenset(each.strip().lower().lstrip("@") for each in self.internal_domains),
            frozenset(each.strip().lower().lstrip("@") for each in self.blocked_domains), self.confidence,
            self.conference_url,
            {mark.strip().casefold(): tool for tool, marks in self.foreign_marks.items() for mark in marks},
            frozenset(tool.strip().casefold() for tool in self.accepted_tools))


class PersonSettings(BaseModel):
    """One ``[people."ann.lee@example.com"]`` table: what this person sees of the pages, and who leads them."""

    model_config = ConfigDict(extra="forbid", defer_build=True)
    role: Literal["rep", "manager", "director", "ops"]
    name: str = ""
    manager: str = ""


class ForecastSettings(BaseModel):
    """``[forecast]``: the reporting currency (empty: each currency apart), how the company divides its years, and a
    file with the addresses that the daily summary is sent to."""

    model_config = ConfigDict(extra="forbid", defer_build=True)
    currency: str = Field(default="", pattern="^([A-Z]{3})?$")
    first_month: int = Field(default=1, ge=1, le=12)
    weeks: Literal["", "4-4-5", "4-5-4", "5-4-4"] = ""
    last_weekday: Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] = "saturday"
    year_ends: Literal["nearest", "last"] = "nearest"
    notify_file: str = ""
    qualification: list[str] = Field(default_factory=list)
    """Fields of a deal that make it qualified; each is counted among the measures."""
    reason_field: str = ""
    """The field of a deal that says why it was won or lost."""
    fit: list[str] = Field(default_factory=list)
    """Fields of an account, or of a deal, by which won and lost deals are told apart."""
    exit_criteria: dict[str, list[str]] = Field(default_factory=dict)
    """Stage -> the fields of a deal that should be filled when it is left."""


class OidcSettings(BaseModel):
    """``[web.oidc]``: the identity provider through which people sign in to the pages."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, defer_build=True)
    issuer: str
    client_id: str
    client_secret: SecretStr = SecretStr("")
    client_secret_file: str = ""
    scope: str = "openid email profile"
    claim: str = "email"
    name: str = ""

    @field_validator("issuer")
    @classmethod
    def _safe(cls, issuer: str) -> str:
        return _reached_safely(issuer)

    def secret(self) -> str:
        return self.client_secret.get_secret_value()


class WebSettings(BaseModel):
    """``[web]``: how browsers reach the pages. ``url`` is the address that they see, ``https://forecast.example.com``;
    ``person`` the one of ``[people]`` who sits at this machine, and whom ``sidefeed serve`` signs in."""

    model_config = ConfigDict(extra="forbid", defer_build=True)
    url: str = ""
    person: str = ""
    oidc: OidcSettings | None = None

    @field_validator("url")
    @classmethod
    def _safe(cls, url: str) -> str:
        return _reached_safely(url).rstrip("/") if url else ""


def _reached_safely(address: str) -> str:
    found = urlsplit(address)
    if found.hostname and (found.scheme == "https" or (found.scheme == "http" and found.hostname in LOOPBACK)):
        return address
    raise ValueError("must begin with https:// (http:// only for this machine itself)")


class Settings(BaseModel):
    """What ``sidefeed.toml`` may hold."""

    model_config = ConfigDict(extra="forbid", defer_build=True)
    workspace: str = "workspace.db"
    mappings: str = "mappings"
    timezone: str = "UTC"
    systems: dict[str, SystemSettings] = Field(default_factory=dict)
    guards: dict[str, GuardSettings] = Field(default_factory=dict)
    budget: dict[str, BudgetSettings] = Field(default_factory=dict)
    calendars: CalendarSettings = Field(default_factory=CalendarSettings)
    limits: LimitSettings = Field(default_factory=LimitSettings)
    people: dict[str, PersonSettings] = Field(default_factory=dict)
    forecast: ForecastSettings = Field(default_factory=ForecastSettings)
    web: WebSettings = Field(default_factory=WebSettings)
    values: dict[str, str | bool | int] = Field(default_factory=dict)
    """What ``${name}`` stands for in the mapping files: the part of a mapping that differs between environments."""

    def followed(self) -> dict[str, Any]:
        """What the audit trail follows: everything that decides what is written, stopped, shown and to whom, and which
        servers are asked; no credentials."""
        told = self.model_dump(mode="json", include={
            "mappings", "timezone", "guards", "budget", "calendars", "limits", "people", "forecast", "values"})
        told["systems"] = {name: {"connector": one.connector or name, **{
            key: _host(value) for key, value in one.values().items() if key in _ADDRESSES}}
            for name, one in self.systems.items()}
        return told | ({"sign_in": self.web.oidc.issuer} if self.web.oidc is not None else {})


_ADDRESSES = ("instance_url", "login_url", "endpoint", "url", "base_url")


def _host(address: object) -> str:
    """The server that an address names, without what may be secret in it."""
    return urlsplit(str(address)).hostname or ""


def connector_codes() -> dict[str, tuple[ErrorCode, ...]]:
    """The error codes of every installed connector, by the connector's name."""
    return {point.name: tuple(getattr(point.load(), "codes", ()))
            for point in sorted(entry_points("sidefeed.connectors"), key=lambda point: point.name)}


def known_codes() -> Codes:
    """Every code that Sidefeed and the installed connectors can explain; connectors are imported once one is asked."""
    from sidefeed.errors import Codes

    def more() -> Iterator[ErrorCode]:
        for codes in connector_codes().values():
            yield from codes

    return Codes(more())


@dataclass(slots=True)
class Project:
    """An opened project folder. Connectors are made once and closed with it."""

    folder: Path
    settings: Settings
    now: Now = system_now
    actor: str = "ops"
    """Who it was opened for, as the audit trail says it."""
    recorder: Recorder | None = None
    """What listens to every connector that is made from now on."""
    _connectors: dict[str, Connector] = field(default_factory=dict)
    _keys: Callable[[str, Mapping[str, Any]], Iterable[str]] | None = None

    @classmethod
    def load(
        cls, folder: Path | str = ".", *, environment: Mapping[str, str] | None = None, now: Now = system_now,
        actor: str = "ops",
    ) -> Project:
        """Read a project folder. Raises ProjectError where it is none or its settings are wrong.

        The files that secrets stand in are opened once a system is asked, and for that system alone: what asks none,
        such as the tests of a mapping in CI, needs none.
        """
        place = Path(folder)
        path = place / FILE
        if not path.is_file():
            raise ProjectError(
                f"{path} does not exist, so {place.resolve()} is no Sidefeed project. Run `sidefeed init` to make one, "
                f"or name another folder with --project.")
        try:
            raw = tomllib.loads(path.read_text(encoding="utf-8"))
        except tomllib.TOMLDecodeError as error:
            raise ProjectError(f"{path} is not valid TOML: {error}. Mend that line and try again.") from None
        _overlay(raw, os.environ if environment is None else environment)
        try:
            settings = Settings.model_validate(raw)
        except ValidationError as error:
            lines = [f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()]
            raise ProjectError(f"{path}: " + "; ".join(lines)) from None
        return cls(place, settings, now, actor)

    @property
    def systems(self) -> tuple[str, ...]:
        return tuple(self.settings.systems)

    @property
    def mapping_folder(self) -> Path:
        return self.folder / self.settings.mappings

    def mappings(self) -> Mappings:
        """The compiled mapping files. Raises MappingErrors naming file, line and column."""
        from sidefeed.mapping import load

        return load(self.mapping_folder, self.settings.values)

    def identity_provider(self, environment: Mapping[str, str] | None = None) -> OidcSettings | None:
        """``[web.oidc]`` with its client secret: from SIDEFEED_OIDC_CLIENT_SECRET, the settings, or the file named
        there. Raises ProjectError where that file cannot be read."""
        found = self.settings.web.oidc
        if found is not None:
            _read_client_secret(self.folder, found, os.environ if environment is None else environment)
        return found

    @property
    def has_workspace(self) -> bool:
        """Whether there is a workspace already, so that looking into it makes none."""
        place = self.settings.workspace
        return "://" in place or (self.folder / place).exists()

    def store(self) -> Store:
        from sidefeed.workspace import Store

        place = self.settings.workspace
        store = Store.open(place if "://" in place else self.folder / place, now=self.now)
        store.actor = self.actor
        store.calendars = self.settings.calendars.policy()
        store.natural_keys = self._natural_keys
        return store

    @contextmanager
    def looking(self) -> Iterator[Transaction]:
        """A look into the workspace, which needs no system and no credentials."""
        store = self.store()
        try:
            with store.read() as tx:
                yield tx
        finally:
            store.close()

    def _natural_keys(self, entity: str, values: Mapping[str, Any]) -> Iterable[str]:
        """The mapping is read with the first record that is written: a reader needs none."""
        if self._keys is None:
            from sidefeed.sync.match import natural_keys

            self._keys = natural_keys(self.mappings())
        return self._keys(entity, values)

    def access(self, system: str) -> dict[str, Any]:
        """The settings of a system, with what stands in files of their own. Raises ProjectError for one that cannot be
        read."""
        return _with_files(self.folder, system, self.settings.systems[system].values())

    def connector(self, system: str) -> Connector:
        """The connector of a system, found through the entry points ``sidefeed.connectors``."""
        if system not in self._connectors:
            self._connectors[system] = self._connect(system)
        return self._connectors[system]

    def check_system(self, system: str) -> None:
        """Raise ProjectError for a system that the settings do not name, with those that they do."""
        if system not in self.settings.systems:
            known = ", ".join(self.systems) or "none"
            raise ProjectError(f"there is no [systems.{system}] in {self.folder / FILE}; configured: {known}.")

    def _connect(self, system: str) -> Connector:
        from sidefeed.connector import Invalid

        self.check_system(system)
        settings = self.settings.systems[system]
        kind = settings.connector or system
        found = {point.name: point for point in entry_points("sidefeed.connectors")}
        if kind not in found:
            raise ProjectError(
                f"[systems.{system}]: there is no connector {kind!r}. Installed: {', '.join(sorted(found))}. Set "
                f"`connector` to one of these, or install the package that brings it.")
        factory = found[kind].load()
        try:
            connector: Connector = factory.from_settings({**self.settings.calendars.shared(), **self.access(system)})
        except (KeyError, ValueError, TypeError) as error:
            raise ProjectError(f"[systems.{system}] in {self.folder / FILE}: {error}") from None
        except Invalid as error:
            if error.code != "bad-setting":
                raise
            raise ProjectError(f"[systems.{system}] in {self.folder / FILE}: {error.message} [{error.code}]") from None
        if self.recorder is not None:
            self.recorder.listen(system, connector, self.access(system))
        return connector

    def limits(self) -> Limits:
        from sidefeed.sync import Limit, Limits

        own = {entity: Limit(one.count, one.share) for entity, one in self.settings.guards.items()}
        default = Limits()
        return Limits(
            {**default.deletes, **own}, {**default.blanks, **own}, own.get("otherwise", default.otherwise),
            **self.settings.limits.model_dump())

    def budgets(self) -> dict[str, Budget]:
        from sidefeed.sync.budget import Budget

        return {name: Budget(one.share, one.daily_calls) for name, one in self.settings.budget.items()}

    @contextmanager
    def engine(
        self, systems: Sequence[str] | None = None, *, progress: Progress | None = None, shard: Shard | None = None,
    ) -> Iterator[Engine]:
        """The engine over this project's workspace and connectors; closes the workspace at the end."""
        from sidefeed.sync import Engine

        mappings = self.mappings()
        for name in systems or ():
            self.check_system(name)
            if not mappings.for_system(name):
                raise ProjectError(f"no file in {self.mapping_folder} maps an object of {name}, so there is nothing to "
                                   f"do there. `sidefeed map init {name} OBJECT` drafts a mapping.")
        store = self.store()
        if self.recorder is not None:
            self.recorder.follow(store, mappings)
        try:
            names = [name for name in (systems or self.systems) if mappings.for_system(name)]
            yield Engine(store, mappings, {name: self.connector(name) for name in names}, self.limits(), progress,
                         self.settings.calendars.policy(), self.budgets(), looks=True, shard=shard,
                         settings=self.settings.followed())
        finally:
            store.close()

    def close(self) -> None:
        for connector in self._connectors.values():
            connector.close()
        self._connectors.clear()


def values_of(folder: Path) -> dict[str, Any]:
    """The mapping values of the project in that folder; none where there is no project."""
    return dict(Project.load(folder).settings.values) if (folder / FILE).is_file() else {}


def _overlay(raw: dict[str, Any], environment: Mapping[str, str]) -> None:
    for variable, value in environment.items():
        if not variable.startswith(ENVIRONMENT):
            continue
        name = variable.removeprefix(ENVIRONMENT).lower()
        if "__" in name:
            system, key = name.split("__", 1)
            table = raw if system == "values" else raw.setdefault("systems", {})
            table.setdefault(system, {})[key] = value
        elif name in ("workspace", "mappings", "timezone"):
            raw[name] = value


def _read_client_secret(folder: Path, oidc: OidcSettings, environment: Mapping[str, str]) -> None:
    given = environment.get("SIDEFEED_OIDC_CLIENT_SECRET", "")
    if not given and oidc.client_secret_file:
        path = folder / oidc.client_secret_file
        try:
            given = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ProjectError(f"[web.oidc] client_secret_file: {path} cannot be read ({error.strerror}).") from None
    if given:
        oidc.client_secret = SecretStr(given)


def _with_files(folder: Path, name: str, values: dict[str, Any]) -> dict[str, Any]:
    for key in [key for key in values if key.endswith("_file")]:
        if key in NOT_EXPANDED:
            values[key] = str(folder / str(values[key]))
            continue
        path = folder / str(values.pop(key))
        plain = key.removesuffix("_file")
        if values.get(plain):  # said itself, by the environment for one: there may be no such file on this machine
            continue
        try:
            values[plain] = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ProjectError(f"[systems.{name}] {key}: {path} cannot be read ({error.strerror}). Put the value into "
                               f"that file, or into {ENVIRONMENT}{name.upper()}__{plain.upper()}, or name another "
                               f"file.") from None
    return values
