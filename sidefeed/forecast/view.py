"""What a report is about: the day it is of, the period, the people, the measure and the currency, by the words that
people use at the command line, on the page and in a notebook."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from sidefeed.forecast.entries import EntryError
from sidefeed.forecast.hierarchy import EVERYONE, Hierarchy, Led, People, hierarchy, resolve, turns
from sidefeed.forecast.history import end_of
from sidefeed.forecast.moves import Scopes
from sidefeed.forecast.periods import Calendar, Period
from sidefeed.forecast.rates import Rates, rates
from sidefeed.forecast.scope import Scope, ScopeError
from sidefeed.workspace import Transaction
from sidefeed.workspace import tables as t

if TYPE_CHECKING:
    from sidefeed.project import ForecastSettings

Teams = Literal["then", "now"]


@dataclass(frozen=True, slots=True)
class View:
    """``as_of``: the moment the report is of; None is now. ``today``: that day where the company is. ``node``: a team,
    the id of a person, or `EVERYONE`. ``into``: the reporting currency; empty keeps each currency apart. ``teams``:
    whether history is shown by the teams of ``then`` or of ``now``."""

    today: date
    period: Period
    as_of: datetime | None = None
    node: str = EVERYONE
    measure: str = "committed"
    into: str = ""
    teams: Teams = "then"
    zone: str = "UTC"
    led: Mapping[str, Led] = field(default_factory=dict, compare=False)
    """Who leads whom where no team was entered: `hierarchy.led` of ``[people]``."""
    seen: frozenset[str] | None = None
    """The owners whose deals the reader may see (``""``: nobody's); None is everybody. Nothing of others is told."""

    def tree(self, tx: Transaction) -> Hierarchy:
        """The teams that the report is rolled up by; of those that the reader sees, where not everybody is seen."""
        found = self._tree(tx)
        return found if self.seen is None else found.within(self.seen)

    def told(self, tx: Transaction, nodes: Iterable[str]) -> set[str]:
        """Those of the nodes of which the reader sees everybody, so that what was said of them may be told."""
        if self.seen is None:
            return set(nodes)
        tree = self._tree(tx)
        return {node for node in nodes if (owners := tree.owners(node)) is not None and owners <= self.seen}

    def _tree(self, tx: Transaction) -> Hierarchy:
        if self.teams == "now":
            return hierarchy(tx, local_day(tx.store.now(), self.zone), led=self.led)
        return hierarchy(tx, self.today, self.as_of, led=self.led)

    def rates(self, tx: Transaction) -> Rates | None:
        return rates(tx, self.into, self.today, self.as_of) if self.into else None

    def scope(self, tx: Transaction, tree: Hierarchy | None = None) -> Scope:
        """Which deals the report counts, and how."""
        owners = self.owners(tree or self.tree(tx))
        return Scope(self.measure, self.period.start, self.period.end, owners, self.rates(tx))

    def owners(self, tree: Hierarchy) -> frozenset[str] | None:
        """Whose deals count: those of the node that the reader sees; None for everybody's."""
        found = tree.owners(self.node)
        return found if self.seen is None else self.seen if found is None else found & self.seen

    def at(self, moment: datetime) -> View:
        """The same report as of another moment."""
        return replace(self, as_of=moment, today=local_day(moment, self.zone))

    def scopes(self, tx: Transaction, start: datetime) -> Scopes:
        """The scopes of this report from a moment up to its own: one for each time that its people or rates change."""
        end = self.as_of or tx.store.now()
        first = self.at(start)
        found: list[tuple[datetime, Scope]] = [(start, first.scope(tx))]
        for moment in self._turns(tx, first.today, start, end):
            then = self.at(moment)
            owners = then.owners(then.tree(tx))
            if owners != found[-1][1].owners:
                found.append((moment, replace(found[-1][1], owners=owners)))
        if self.into:
            found.append((end, replace(self.at(end).scope(tx), owners=found[-1][1].owners)))
        return found

    def _turns(self, tx: Transaction, first: date, start: datetime, end: datetime) -> list[datetime]:
        if self.teams == "now" or self.node == EVERYONE:
            return []
        zone = ZoneInfo(self.zone)
        moments = {datetime.combine(day, time(), zone).astimezone(UTC)
                   for day in turns(tx, first, local_day(end, self.zone), end)}
        for column in (t.membership.c.known_from, t.membership.c.known_to):
            moments |= {datetime.fromisoformat(text) for text in tx.connection.execute(
                column.table.select().with_only_columns(column).distinct()).scalars() if text}
        return sorted(moment for moment in moments if start < moment <= end)


def view(
    tx: Transaction, *, calendar: Calendar | None = None, zone: str = "UTC", as_of: str = "", period: str = "all",
    node: str = "", measure: str = "committed", into: str = "", teams: str = "then",
    led: Mapping[str, Led] | None = None,
) -> View:
    """The view that these words mean. Raises ScopeError or EntryError naming what there is to choose from."""
    now = tx.store.now()
    moment = parse_moment(as_of, now, zone)
    today = local_day(moment or now, zone)
    if teams not in ("then", "now"):
        raise ScopeError(f"history is shown by the teams of `then` or of `now`, not {teams!r}.")
    if into and not (len(into) == 3 and into.isalpha() and into.isupper()):
        raise ScopeError(f"a reporting currency is a code such as EUR, not {into!r}.")
    found = View(today, (calendar or Calendar()).parse(period, today), moment, EVERYONE, measure, into,
                 "now" if teams == "now" else "then", zone, led or {})
    Scope(measure)  # raises ScopeError with the measures there are
    return replace(found, node=resolve(node, found.tree(tx), People(tx))) if node else found


def calendar_of(settings: ForecastSettings) -> Calendar:
    """The calendar of a project's `[forecast]` settings."""
    return Calendar(settings.first_month, settings.weeks, settings.last_weekday, settings.year_ends)


def parse_moment(text: str, now: datetime, zone: str) -> datetime | None:
    """A day (its end, where the company is), an instant, or ``7d`` ago; None for nothing or ``now``.

    Raises EntryError for what is none of these, or lies ahead.
    """
    told = text.strip()
    if told in ("", "now"):
        return None
    ago = re.fullmatch(r"(\d{1,5})d", told)
    try:
        if ago:
            moment = end_of(local_day(now, zone) - timedelta(days=int(ago[1])), zone)
        elif len(told) == 10:
            moment = end_of(date.fromisoformat(told), zone)
        else:
            read = datetime.fromisoformat(told)
            moment = (read if read.tzinfo else read.replace(tzinfo=ZoneInfo(zone))).astimezone(UTC)
    except (ValueError, OverflowError):
        raise EntryError(f"{text!r} is no day; write 2026-03-31, 2026-03-31T17:00, or 7d for seven days ago.") from None
    if moment > now and local_day(moment, zone) > local_day(now, zone):
        raise EntryError(f"{text} lies ahead; a report is of a day that was, and today is {local_day(now, zone)}.")
    return None if moment >= now else moment


def local_day(moment: datetime, zone: str) -> date:
    return moment.astimezone(ZoneInfo(zone)).date()
