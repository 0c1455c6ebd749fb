"""Dates that never shift, moments in UTC, and the span of a meeting."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ConfigDict, Field, field_validator

from .. import values as canonical
from ..values import UNKNOWN, LensError, Unknown, Value, shown
from .base import MISSING, Filler, Lens, OneField, Options, Raw, Reader, Refs, Scalar

if TYPE_CHECKING:
    from ..model import FieldSpec


Form = Literal["z", "millis", "offset", "epoch"]


def _written(moment: datetime, form: Form) -> str:
    if form == "epoch":
        return str((moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1))
    text = canonical.stamp(moment)[:-1]
    return {"z": f"{text}Z", "millis": f"{text}.000Z", "offset": f"{text}.000+0000"}[form]


def _zone(name: str) -> tzinfo:
    try:
        return canonical.zone_named(name)
    except KeyError:
        raise ValueError(f"no time zone is named {name!r}; expected one such as Europe/Berlin or UTC") from None


class FormOptions(Options):
    form: Form = Field(
        "z",
        description="How the system wants moments: `z` 2026-11-21T08:17:00Z, `millis` …:00.000Z, "
        "`offset` …:00.000+0000, `epoch` milliseconds since 1970. All of these are read.",
    )
    zone: str = Field("UTC", description="The time zone of moments that the system writes without one (IANA name).")

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        _zone(name)
        return name


class DateTimeOptions(OneField, FormOptions):
    pass


class DateTime(Scalar):
    """A moment, in UTC, to the second."""

    name = "datetime"
    types = frozenset({"datetime"})
    Options = DateTimeOptions
    example = "signed_at: {field: Signed_At__c, form: offset}"

    def __init__(self, options: Any, spec: FieldSpec) -> None:
        super().__init__(options, spec)
        self.zone = _zone(options.zone)

    def _in(self, raw: Any) -> Any:
        return canonical.moment(raw, self.zone)

    def _out(self, value: Any) -> Any:
        moment = canonical.instant(value)
        return None if moment is None else _written(moment, self.options.form)


class DateOptions(DateTimeOptions):
    stored: Literal["date", "datetime"] = Field(
        "date", alias="as", description="`datetime` where the system keeps a calendar date as a moment. Default: date."
    )
    at: str = Field(
        "12:00",
        pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$",
        description="With `as: datetime`: the time of day written, in `zone`. Noon keeps the date the same in most of "
        "the world.",
    )

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False, defer_build=True)


class Date(Scalar):
    """A calendar date, never shifted by a time zone. With `as: datetime` the system holds a moment: it is written as
    the time `at` in `zone`, and only the date in that zone is read back, so a moment at another time of that day is the
    same date."""

    name = "date"
    types = frozenset({"date"})
    Options = DateOptions
    example = 'close_date: {field: closedate, as: datetime, at: "12:00", zone: UTC}'

    def __init__(self, options: Any, spec: FieldSpec) -> None:
        super().__init__(options, spec)
        self.zone = _zone(options.zone)
        self.at = time.fromisoformat(options.at)

    def reader(self) -> Reader:
        if self.options.stored == "datetime":
            return self.read
        field, day, slow = self.field, canonical.usual_day, self.read

        def read(raw: Raw, refs: Refs) -> Value | Unknown:
            told = raw.get(field, MISSING)
            return day(told) if type(told) is str and told else slow(raw, refs)

        return read

    def filler(self) -> Filler:
        if self.options.stored == "datetime":
            return super().filler()
        field, day = self.field, canonical.day

        def fill(value: Value, refs: Refs, raw: dict[str, Any]) -> None:
            raw[field] = day(value)

        return fill

    def says(self, *, reads: bool, writes: bool) -> Iterator[str]:
        if self.options.stored == "datetime":
            yield (f"{self.field} holds a moment: the date is the one in {self.options.zone}"
                   + (f", and is written as {self.options.at} there." if writes else "."))

    def _in(self, raw: Any) -> Any:
        if self.options.stored == "date" or not isinstance(raw, str):
            return canonical.day(raw)
        return _day_of(raw, self.zone)

    def _out(self, value: Any) -> Any:
        day = canonical.day(value)
        if day is None or self.options.stored == "date":
            return day
        return _moment_on(day, self.at, self.zone, self.options.form)


# One system's dates are the same few hundred, over and over.
@lru_cache(maxsize=8192)
def _day_of(raw: str, zone: tzinfo) -> str | None:
    if len(raw) == 10 and raw[4] == raw[7] == "-":
        return canonical.day(raw)
    moment = canonical.instant(raw, zone)
    return None if moment is None else _local_day(moment, zone)


@lru_cache(maxsize=8192)
def _moment_on(day: str, at: time, zone: tzinfo, form: Form) -> str:
    try:
        moment = datetime.combine(date.fromisoformat(day), at, zone).astimezone(UTC)
    except OverflowError:
        raise LensError("out-of-calendar", f"{day} at {at} cannot be written in UTC") from None
    if _local_day(moment, zone) != day:
        raise LensError("no-such-day", f"{day} was skipped in {zone}")
    return _written(moment, form)


def _local_day(moment: datetime, zone: tzinfo) -> str:
    try:
        return moment.astimezone(zone).date().isoformat()
    except OverflowError:
        raise LensError("out-of-calendar", f"{canonical.stamp(moment)} is outside the calendar in {zone}") from None


class WhenOptions(FormOptions):
    start: str = Field(description="The system's field for the start.")
    end: str = Field(description="The system's field for the end.")
    zone_field: str | None = Field(None, description="The field that names the time zone, where there is one.")
    all_day: str | None = Field(
        None, description="The yes-or-no field for all-day. Without it, midnight to midnight in `zone` is all-day."
    )
    date: str | None = Field(None, description="A field that holds the date of an all-day meeting (written and read).")
    minutes: str | None = Field(None, description="A field that holds the length in minutes and must agree.")
    stamp: str | None = Field(None, description="A field that must hold the start once more (written only).")
    all_day_as: Literal["moments", "dates"] = Field(
        "moments", description="Whether start and end of an all-day meeting are midnights in `zone` or dates."
    )


class When(Lens):
    """Start, end, time zone and all-day as one value. All-day meetings are dates, the end exclusive, and never shift.
    A system without `zone_field` keeps the moments and not the name of the zone."""

    name = "when"
    types = frozenset({"when"})
    short = None
    Options = WhenOptions
    example = "when: {start: StartDateTime, end: EndDateTime, all_day: IsAllDayEvent, minutes: DurationInMinutes}"

    def __init__(self, options: Any, spec: FieldSpec) -> None:
        super().__init__(options, spec)
        self.zone = _zone(options.zone)
        named = (options.start, options.end, options.zone_field, options.all_day, options.date, options.minutes)
        self.raw = tuple(dict.fromkeys(name for name in (*named, options.stamp) if name))

    def says(self, *, reads: bool, writes: bool) -> Iterator[str]:
        names = self.options
        yield "Start, end, zone and all-day cross together."
        if names.zone_field is None:
            yield "The name of the time zone is not kept there; the moments are."
        if names.all_day is None:
            yield f"Midnight to midnight in {names.zone} is read as all-day."

    def read(self, raw: Raw, refs: Refs) -> Value | Unknown:
        names = self.options
        if names.start not in raw or (names.end not in raw and (names.minutes is None or names.minutes not in raw)):
            return UNKNOWN
        whole = self._boolean(raw.get(names.all_day)) if names.all_day else self._midnights(raw)
        if names.all_day and names.all_day not in raw:
            return UNKNOWN
        span = self._days(raw) if whole else self._moments(raw)
        if span is None:
            return None
        zone = canonical.text(raw.get(names.zone_field)) if names.zone_field else None
        return {"start": span[0], "end": span[1], "zone": zone, "all_day": whole}

    @staticmethod
    def _boolean(raw: Any) -> bool:
        return raw is True or (isinstance(raw, str) and raw.strip().lower() == "true")

    def _midnights(self, raw: Raw) -> bool:
        try:
            ends = [canonical.instant(raw.get(name), self.zone) for name in (self.options.start, self.options.end)]
            local = [each.astimezone(self.zone) for each in ends if each is not None]
        except (LensError, OverflowError):
            return False
        return len(local) == 2 and local[0] < local[1] and all(each.time() == time() for each in local)

    def _minutes(self, raw: Raw) -> int | None:
        number = canonical.decimal(raw.get(self.options.minutes)) if self.options.minutes else None
        return None if number is None else int(number)

    def _moments(self, raw: Raw) -> tuple[str, str] | None:
        start = canonical.instant(raw.get(self.options.start), self.zone)
        if start is None:
            return None
        end = canonical.instant(raw.get(self.options.end), self.zone)
        if end is None:
            end = start + timedelta(minutes=self._minutes(raw) or 0)
        if end < start:
            raise LensError("ends-before-start", f"it ends ({canonical.stamp(end)}) before it starts")
        return canonical.stamp(start), canonical.stamp(end)

    def _local_day(self, raw: Any) -> date | None:
        if isinstance(raw, str) and len(raw.strip()) == 10:
            return date.fromisoformat(canonical.day(raw) or "")
        moment = canonical.instant(raw, self.zone)
        return None if moment is None else moment.astimezone(self.zone).date()

    def _days(self, raw: Raw) -> tuple[str, str] | None:
        told = raw.get(self.options.date) if self.options.date else None
        start = self._local_day(told or raw.get(self.options.start))
        if start is None:
            return None
        minutes = self._minutes(raw)
        if minutes is not None:
            end = start + timedelta(days=max(1, -(-minutes // 1440)))
        else:
            end = max(self._local_day(raw.get(self.options.end)) or start, start + timedelta(days=1))
        return start.isoformat(), end.isoformat()

    def image(self, value: Value) -> Value:
        return {**value, "zone": None} if isinstance(value, dict) and self.options.zone_field is None else value

    def write(self, value: Value, refs: Refs) -> dict[str, Any]:
        if value is None:
            return {name: (False if name == self.options.all_day else None) for name in self.raw}
        if not isinstance(value, dict):
            raise LensError("not-a-time", f"{shown(value)} is not a start and an end")
        raw = self._days_out(value) if value["all_day"] else self._moments_out(value)
        names = self.options
        if names.stamp:
            raw[names.stamp] = raw[names.start]
        if names.zone_field:
            raw[names.zone_field] = value["zone"]
        if names.all_day:
            raw[names.all_day] = value["all_day"]
        return raw

    def _moments_out(self, value: dict[str, Any]) -> dict[str, Any]:
        names = self.options
        start, end = canonical.instant(value["start"]), canonical.instant(value["end"])
        if start is None or end is None or end < start:
            raise LensError("ends-before-start", f"{value['start']} to {value['end']} is not a span of time")
        raw: dict[str, Any] = {names.start: _written(start, names.form), names.end: _written(end, names.form)}
        if names.minutes:
            raw[names.minutes] = -(-int((end - start).total_seconds()) // 60)
        if not names.all_day and self._midnights(raw):
            raise LensError("reads-as-all-day", "a meeting from midnight to midnight would be read as all-day there")
        return raw

    def _days_out(self, value: dict[str, Any]) -> dict[str, Any]:
        names = self.options
        start, end = date.fromisoformat(value["start"]), date.fromisoformat(value["end"])
        if end <= start:
            raise LensError("ends-before-start", f"all-day {value['start']} to {value['end']} holds no day")
        raw: dict[str, Any]
        if names.all_day_as == "dates":
            raw = {names.start: value["start"], names.end: value["end"]}
        else:
            try:
                ends = [datetime.combine(day, time(), self.zone).astimezone(UTC) for day in (start, end)]
            except OverflowError:
                raise LensError("out-of-calendar", f"{value['start']} cannot be written in UTC") from None
            raw = {names.start: _written(ends[0], names.form), names.end: _written(ends[1], names.form)}
        if names.minutes:
            # Length and last day are two ways of saying the same thing, and a system that keeps the last day keeps it
            # inclusive: the length alone is sent, so that they cannot disagree.
            raw.pop(names.end)
            raw[names.minutes] = (end - start).days * 1440
        if names.date:
            raw[names.date] = value["start"]
        return raw
