"""Bad days that only HubSpot knows, switched by name through `HubSpotServer.condition` and the control API."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from sandbox.kit import Request

from . import access, definitions, errors
from .behaviour import Late
from .portal import Portal
from .properties import Option
from .routes import split
from .webhooks import Webhooks


class BadDays:
    """Every public method is a condition: its name, what it does in its docstring, its arguments."""

    def __init__(self, portal: Portal, credentials: access.Access, meter: access.Meter, webhooks: Webhooks) -> None:
        self.portal = portal
        self.credentials = credentials
        self.meter = meter
        self.webhook_sender = webhooks
        self.trouble: Callable[[Request], None] | None = None

    def _rules(self) -> dict[str, Callable[..., Any]]:
        names = [name for name in vars(type(self)) if not name.startswith("_") and name != "switch"]
        return {name: getattr(self, name) for name in sorted(names) if name != "describe"}

    def describe(self) -> dict[str, str]:
        """Each condition and what it does."""
        return {name: f"{(rule.__doc__ or '').strip()} {_takes(rule)}" for name, rule in self._rules().items()}

    def switch(self, name: str, **args: Any) -> Any:
        """Switch a condition. Raises KeyError naming the valid ones, ValueError for wrong arguments."""
        rules = self._rules()
        if name not in rules:
            raise KeyError(f"no condition {name!r}; known: {', '.join(rules)}")
        try:
            return rules[name](**args)
        except TypeError as error:
            raise ValueError(f"condition {name}: {error}") from error
        except errors.ApiError as error:
            raise ValueError(f"condition {name}: {error}") from error

    def search_lag(self, seconds: float = 10.0) -> None:
        """Seconds until a write shows in search; 0 for none."""
        self.portal.switches.search_lag = float(seconds)

    def late_index(self, seconds: float = 60.0, count: int = 1) -> None:
        """The next `count` writes reach search `seconds` late, behind writes with later stamps."""
        self.portal.late = Late(float(seconds), int(count))

    def permission_removed(self, scope: str) -> None:
        """Take a scope from every token: calls that need it get 403 MISSING_SCOPES."""
        for token in self.credentials.tokens.values():
            token.scopes = (token.scopes if token.scopes is not None else access.all_scopes(self.portal.store)) - {
                scope
            }

    def permission_restored(self) -> None:
        """Give every token every scope again."""
        for token in self.credentials.tokens.values():
            token.scopes = None

    def property_removed(self, type: str, property: str) -> None:
        """Archive a property definition, HubSpot's own too; values stay in the records."""
        catalogue = self.portal.store.of(type).catalogue
        catalogue.put(replace(definitions.read_one(catalogue, property), archived_at=self.portal.now()))

    def property_renamed(self, type: str, property: str, to: str) -> None:
        """A property goes and another with its definition appears; values stay behind, as in HubSpot."""
        catalogue = self.portal.store.of(type).catalogue
        before = definitions.read_one(catalogue, property)
        catalogue.put(replace(before, archived_at=self.portal.now()))
        catalogue.put(replace(before, name=to, created=self.portal.now(), updated=self.portal.now()))

    def option_added(self, type: str, property: str, value: str, label: str | None = None) -> None:
        """Add a choice to an enumeration."""
        catalogue = self.portal.store.of(type).catalogue
        before = definitions.read_one(catalogue, property)
        option = Option(value, label or value, len(before.options))
        catalogue.put(replace(before, options=(*before.options, option), updated=self.portal.now()))

    def required_on_create(self, type: str, properties: list[str]) -> None:
        """Properties that an admin requires on create: enforced from date version 2026-09 on."""
        self.portal.store.of(type).catalogue.required_on_create = tuple(properties)

    def required_when(self, type: str, when: str, value: str, property: str) -> None:
        """A property that an admin requires while another has a value: enforced from date version 2026-09 on."""
        catalogue = self.portal.store.of(type).catalogue
        catalogue.conditionally_required = (*catalogue.conditionally_required, (when, value, property))

    def validation_rule(self, type: str, property: str, pattern: str | None = None, message: str = "") -> None:
        """A validation rule of the portal: values of a property must match a pattern; without one the rule goes."""
        rules = self.portal.store.of(type).catalogue.rules
        rules.pop(property, None)
        if pattern is not None:
            rules[property] = (re.compile(pattern), message or f"{property} does not meet its validation rule.")

    def association_permission(self, allowed: bool = True) -> None:
        """Whether the user behind the tokens may edit associations; date version 2026-09 asks, older ones do not."""
        self.portal.switches.association_permission = bool(allowed)

    def automation(self, type: str = "*", set: Mapping[str, object] | None = None, off: bool = False) -> None:
        """A workflow that writes `set` after each write of a type; off=true removes all."""
        if off:
            self.portal.automations.clear()
        elif set:
            values = dict(set)
            name = "*" if type == "*" else self.portal.store.of(type).type.name
            self.portal.automations.append((name, lambda _portal, _record: values))

    def merge_mode(self, mode: str = "new") -> None:
        """`new`: the survivor of a merge has a new id; `old`: the primary survives."""
        if mode not in ("new", "old"):
            raise ValueError("mode is new or old")
        self.portal.switches.merge_mode = mode

    def expired_cursors(self, on: bool = True) -> None:
        """Refuse every `after` of list endpoints."""
        self.portal.switches.expired_cursors = bool(on)

    def token_expired(self) -> int:
        """Every access token expires now; OAuth ones can be refreshed. Answers how many."""
        return self.credentials.expire_all()

    def daily_quota(self, remaining: int = 0) -> None:
        """So many calls are left today."""
        self.meter.used_today = self.meter.limits.daily - int(remaining)

    def limits(
        self,
        tier: str | None = None,
        enforced: bool = True,
        per_window: int | None = None,
        search_per_second: int | None = None,
        daily: int | None = None,
    ) -> None:
        """Enforce the rate windows: tier starter, professional, enterprise or increased; or numbers of your own."""
        limits = self.meter.limits
        limits.enforced = bool(enforced) and tier != "off"
        if tier not in (None, "off"):
            if tier not in access.TIERS:
                raise ValueError(f"no tier {tier!r}; known: off, {', '.join(access.TIERS)}")
            limits.per_window, limits.daily = access.TIERS[tier]
        limits.per_window = per_window or limits.per_window
        limits.search_per_second = search_per_second or limits.search_per_second
        limits.daily = daily or limits.daily

    def shuffle(self, on: bool = True) -> None:
        """Whether batch answers come in another order than the inputs."""
        self.portal.switches.shuffle = bool(on)

    def created_status(self, status: int = 200) -> None:
        """Answer another success where 201 is usual."""
        self.portal.switches.created_status = int(status)

    def timestamp_tie(self, on: bool = True) -> None:
        """Every write from now on carries one and the same millisecond."""
        self.portal.tie = self.portal.now() if on else None

    def data_centre_move(self, on: bool = True, retry_after: int = 3600) -> None:
        """477 with Retry-After for every call."""

        def move(request: Request) -> None:
            error = errors.moving_data_centre()
            error.headers.append(("Retry-After", str(retry_after)))
            raise error

        self.trouble = move if on else None

    def locked(self, on: bool = True, seconds: float = 2.0) -> None:
        """423 for every write, until `seconds` have passed on the server's clock."""
        until = self.portal.now() + int(seconds * 1000)

        def lock(request: Request) -> None:
            if request.method != "GET" and not split(request.path).is_search and self.portal.now() < until:
                raise errors.locked()

        self.trouble = lock if on else None

    def webhooks(self, target: str | None = None, duplicates: float = 0.0, disorder: bool = False) -> None:
        """Send events to a loopback `target`; `duplicates`: the share sent twice; `disorder`: in another order."""
        if target is not None:
            self.webhook_sender.configure({"targetUrl": target})
        self.webhook_sender.duplicates, self.webhook_sender.disorder = float(duplicates), bool(disorder)

    def behaviour(self, switch: str, value: Any) -> None:
        """Set one of the portal's switches by name (see `Switches`): what is unverified or differs by portal."""
        if not hasattr(self.portal.switches, switch):
            raise ValueError(f"no switch {switch!r}; known: {', '.join(vars(self.portal.switches))}")
        setattr(self.portal.switches, switch, value)


def _takes(rule: Callable[..., Any]) -> str:
    """The arguments of a condition, with their defaults."""
    parameters = inspect.signature(rule).parameters.values()
    return f"Takes {', '.join(str(p).replace(chr(39), '') for p in parameters)}." if parameters else "Takes nothing."
