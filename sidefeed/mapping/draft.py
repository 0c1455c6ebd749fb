"""A first mapping of an object, guessed from what the live system says of it and a few of its records.

Guesses go by name, label, kind of field and sample values. What is not certain stands as a comment that begins with
``doubt:`` at the line it is about; what was not found stands as a comment too. Nothing is left out silently.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..connector import FieldSchema, ObjectSchema
from .check import KINDS, ROLES
from .lenses import DEFAULT, SameIds, library
from .model import Entity, FieldSpec
from .values import UNKNOWN, LensError, Unresolved

SURE, POSSIBLE = 0.85, 0.6
_SAME = SameIds()
_WIDTH = 110

# One thing under the names that systems give it; the first is ours. All are written without case and punctuation.
_SYNONYMS = [
    set(line.split()) for line in (
        "money amount dealamount value", "closedate closingdate expectedclose", "stage stagename dealstage",
        "owner ownerid hubspotownerid assignedto", "account accountid company organisation associationscompany",
        "contacts contactids whoids associationscontacts", "firstname givenname", "lastname surname familyname",
        "title jobtitle", "website url webaddress", "email emailaddress emailaddress1 address mail",
        "phone businessphone telephone", "country billingcountry", "name dealname companyname",
        "due duedate activitydate timestamp", "subject meetingtitle tasksubject", "about whatid",
        "description body meetingbody taskbody notes", "joinurl meetingexternalurl", "status taskstatus meetingoutcome",
        "forecastcategory forecastcategoryname manualforecastcategory", "location meetinglocation",
        "active isactive enabled", "attendees participants", "organiser organizer", "nextstep followup",
        "wins won closedwon", "losses lost closedlost", "industry sector",
    )
]  # fmt: skip
_OBJECTS = [
    set(line.split()) for line in (
        "opportunity opportunities deal deals", "account accounts company companies", "contact contacts person people",
        "meeting meetings event events calendar", "task tasks todo activity", "user users owner owners mailboxes",
    )
]  # fmt: skip
_TYPES = {
    "boolean": "boolean", "bool": "boolean", "date": "date", "datetime": "datetime", "currency": "money",
    "double": "number", "int": "number", "number": "number", "percent": "number", "long": "number", "email": "email",
    "phone": "phone", "phone_number": "phone", "url": "url", "picklist": "choice", "enumeration": "choice",
    "multipicklist": "set", "textarea": "text", "string": "text", "text": "text",
}  # fmt: skip
_QUIET = re.compile(r"^(hs_|sf_)|__c$|^associations\.", re.IGNORECASE)


@dataclass(slots=True)
class Line:
    """One line of a draft: a mapped field, or (without ``written``) a comment."""

    name: str
    written: dict[str, Any] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)
    short: str | None = None
    """The option that may stand alone: ``name: Name`` for ``name: {field: Name}``."""

    def yaml(self) -> list[str]:
        """On one line where that fits."""
        if self.short is not None and list(self.written) == [self.short]:
            return [f"      {self.name}: {self.written[self.short]}"]
        flat = f"      {self.name}: {_flow(self.written)}"
        if len(flat) <= _WIDTH:
            return [flat]
        made = [f"      {self.name}:"]
        for key, value in self.written.items():
            if isinstance(value, dict):
                made += [f"        {key}:", *(f"          {one}: {other}" for one, other in value.items())]
            else:
                made.append(f"        {key}: {value}")
        return made


@dataclass(frozen=True, slots=True)
class Draft:
    """The draft of an object, and of its entity where there is none yet, as text to put into the mapping files."""

    entity: str
    object: str
    lines: tuple[Line, ...]
    unmapped: tuple[str, ...]
    needed: tuple[str, ...]
    new_entity: str = ""

    @property
    def doubts(self) -> int:
        return sum(len(line.doubts) for line in self.lines) + len(self.needed)

    def text(self) -> str:
        """The object as it stands under ``objects:``."""
        head = [f"  {_scalar(self.object)}:", f"    entity: {self.entity}", *self._matching(), "    fields:"]
        return "\n".join([*head, *self._fields(), *self._rest()]) + "\n"

    def _matching(self) -> list[str]:
        mapped = [line.name for line in self.lines if line.written]
        for keys in (["email"], ["domain"], ["key"]):
            if set(keys) <= set(mapped):
                return [f"    match: [{', '.join(keys)}]"]
        if not mapped:
            return []
        return ["    # doubt: which fields prove that two records are one? Never the name alone for deals.",
                f"    # match: [{mapped[0]}]"]

    def _fields(self) -> Iterator[str]:
        for line in self.lines:
            yield from (f"      # doubt: {doubt}" for doubt in line.doubts)
            yield from line.yaml() if line.written else [f"      # {line.name}: nothing looks like it for sure"]

    def _rest(self) -> Iterator[str]:
        if self.needed:
            yield f"    # doubt: needed on create and mapped to nothing: {', '.join(self.needed)}."
            yield "    # Map each above, write a constant below, or set `creates: false`."
            yield "    # writes:"
            yield from (f"    #   {name}: {{constant: ...}}" for name in self.needed)
        for start in range(0, len(self.unmapped), 8):
            yield f"    # {'' if start else 'not mapped: '}{', '.join(self.unmapped[start:start + 8])}"


def draft(
    schema: ObjectSchema, entities: Mapping[str, Entity], *, entity: str | None = None,
    sample: Sequence[Mapping[str, Any]] = (), own: Iterable[str] = (),
) -> Draft:
    """Guess the mapping of one object. ``entity`` names the entity; without it the object's name tells, and an object
    that looks like none becomes a new one. ``own`` names fields that are Sidefeed's, such as the key."""
    name = entity or entity_of(schema.name, entities)
    kept = {raw: each for raw, each in schema.fields.items() if raw not in set(own)}
    if name is not None and name in entities:
        return _onto(schema, entities[name], kept, sample)
    return _from_nothing(schema, name or _singular(_snake(schema.label or schema.name)), entities, kept, sample)


def entity_of(object: str, entities: Mapping[str, Entity]) -> str | None:
    """The entity that an object's name speaks of."""
    word = _bare(object)
    for group in _OBJECTS:
        if word in group:
            return next((each for each in entities if each in group), None)
    return next((each for each in entities if _bare(each) == word.rstrip("s")), None)


def _onto(
    schema: ObjectSchema, entity: Entity, kept: Mapping[str, FieldSchema], sample: Sequence[Mapping[str, Any]]
) -> Draft:
    """Guess which raw field each declared field is; the surest guesses choose first."""
    guesses = {spec.name: _guesses(spec, kept, sample) for spec in entity.fields.values()}
    taken: dict[str, str] = {}
    for spec_name, _ in sorted(guesses.items(), key=lambda each: -each[1][0][0] if each[1] else 0):
        for score, raw in guesses[spec_name]:
            if raw not in taken.values() and score >= POSSIBLE:
                taken[spec_name] = raw
                break
    lines = [_line(spec, kept, taken.get(spec.name), guesses[spec.name], sample, set(taken.values()))
             for spec in entity.fields.values()]
    return _finished(schema, entity.name, lines, kept, set(taken.values()))


def _from_nothing(
    schema: ObjectSchema, name: str, entities: Mapping[str, Entity], kept: Mapping[str, FieldSchema],
    sample: Sequence[Mapping[str, Any]],
) -> Draft:
    """A new entity with a field for each of the object's own fields that may be written and hold plain values or refer
    to a known entity."""
    specs: dict[str, FieldSpec] = {}
    raws: dict[str, str] = {}
    for raw, each in kept.items():
        if not (each.createable or each.updateable):
            continue
        spec = _declaration(raw, each, entities)
        if spec is not None:
            specs[spec.name] = spec
            raws[spec.name] = raw
    lines = [_line(spec, kept, raws[each], [(1.0, raws[each])], sample, set(raws.values()))
             for each, spec in specs.items()]
    made = [f"  {name}:", f"    label: {schema.label or schema.name}", "    fields:"]
    made += [f"      {spec.name}: {_declared(spec)}" for spec in specs.values()]
    return _finished(schema, name, lines, kept, set(raws.values()), "\n".join(made) + "\n")


def _declaration(raw: str, each: FieldSchema, entities: Mapping[str, Entity]) -> FieldSpec | None:
    """What a field of the system would be in a new entity; None where it is nothing that can be told."""
    name = _snake(_QUIET.sub("", raw))
    if len(each.references) == 1:
        target = entity_of(each.references[0], entities)
        several = each.type in ("references", "associations")
        name = name.removesuffix("_id")
        return FieldSpec(name, "refs" if several else "ref", target, (target,), label=each.label) if target else None
    kind = _TYPES.get(each.type)
    if kind is None:
        return None
    if kind in ("choice", "money") and not each.options:
        kind = "text" if kind == "choice" else "number"
    choices = tuple(dict.fromkeys(_snake(option) for option in each.options)) if kind == "choice" else ()
    if kind == "choice" and (len(choices) != len(each.options) or not all(one[0].isalpha() for one in each.options)):
        kind, choices = "text", ()
    return FieldSpec(name, kind, choices=choices, label=each.label)


def _declared(spec: FieldSpec) -> str:
    if spec.entity is not None:
        return f"{spec.type} {spec.entity}"
    return f"{{type: choice, choices: [{', '.join(spec.choices)}]}}" if spec.choices else spec.type


def _finished(
    schema: ObjectSchema, entity: str, lines: list[Line], kept: Mapping[str, FieldSchema], taken: set[str],
    new_entity: str = "",
) -> Draft:
    used = taken | {raw for line in lines for raw in _words(line.written)}
    needed = tuple(raw for raw, each in kept.items() if each.required and raw not in used)
    return Draft(entity, schema.name, tuple(lines), tuple(sorted(raw for raw in kept if raw not in used)), needed,
                 new_entity)


def _words(written: Mapping[str, Any]) -> Iterator[str]:
    for value in written.values():
        yield from _words(value) if isinstance(value, dict) else [str(value).strip('"')]


def _flow(written: Mapping[str, Any]) -> str:
    return "{" + ", ".join(
        f"{key}: {_flow(value) if isinstance(value, dict) else value}" for key, value in written.items()) + "}"


# --- guessing --------------------------------------------------------------------------------------------------------


def _guesses(
    spec: FieldSpec, kept: Mapping[str, FieldSchema], sample: Sequence[Mapping[str, Any]]
) -> list[tuple[float, str]]:
    """Raw fields that may be this one, the likeliest first."""
    found = []
    for raw, each in kept.items():
        if not _kind_fits(spec, each):
            continue
        score = max(_alike(spec.name, raw), _alike(spec.name, each.label) * 0.97, _alike(spec.label, each.label) * 0.97)
        readable = _readable(spec, raw, each.type, sample)
        if readable is not None and readable < 0.5:
            score -= 0.3
        if spec.entities and not any(entity_of(other, _named(spec)) for other in each.references):
            score -= 0.5
        if not each.createable and not each.updateable:
            score -= 0.1
        if each.type == ROLES:
            # It holds the same people as the plain list, and more where we have words for their roles.
            score = 1.01 if spec.roles and each.options and score > POSSIBLE - 0.3 else score - 0.3
        found.append((round(score, 3), raw))
    return sorted(found, key=lambda each: (-each[0], len(each[1]), each[1]))


def _named(spec: FieldSpec) -> dict[str, Entity]:
    return {name: Entity(name, {}) for name in spec.entities}


def _kind_fits(spec: FieldSpec, each: FieldSchema) -> bool:
    if spec.type in ("when", "related"):
        return True
    kinds = KINDS.get(DEFAULT[spec.type], {})
    first = next(iter(kinds.values()), frozenset())
    if spec.type == "date":
        first = first | {"datetime"}
    if spec.type == "choice" and not each.options:
        return each.type in ("boolean", "bool")
    if spec.type == "text" and (each.references or each.type in ("id", "reference", "picklist")):
        return each.type == "picklist"
    return each.type in first


def _alike(ours: str, theirs: str) -> float:
    one, other = _bare(ours), _bare(theirs)
    if not one or not other:
        return 0.0
    if one == other:
        return 1.0
    if any(one in group and other in group for group in _SYNONYMS):
        return 0.95
    if min(len(one), len(other)) > 3 and (one.startswith(other) or other.startswith(one)):
        return 0.8
    return difflib.SequenceMatcher(None, one, other).ratio() * 0.9


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", _QUIET.sub("", name).lower())


def _singular(name: str) -> str:
    if name.endswith("ies"):
        return f"{name.removesuffix('ies')}y"
    return name.removesuffix("s") if not name.endswith("ss") else name


def _snake(name: str) -> str:
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", _QUIET.sub("", name))
    made = "_".join(word.lower() for word in words) or "field"
    return made if made[0].isalpha() else f"n_{made}"


def _readable(spec: FieldSpec, raw: str, kind: str, sample: Sequence[Mapping[str, Any]]) -> float | None:
    """The share of filled sample values that the field's own lens can read; None where nothing can be told."""
    if spec.type not in ("email", "phone", "url", "number", "date", "datetime", "boolean"):
        return None
    values = [row[raw] for row in sample if row.get(raw) not in (None, "")]
    if len(values) < 3:
        return None
    lens_class = library()[DEFAULT[spec.type]]
    told: dict[str, Any] = {str(lens_class.short): raw}
    if spec.type == "date" and kind == "datetime":
        told["as"] = "datetime"
    lens = lens_class(lens_class.Options.model_validate(told), spec)
    return sum(_reads(lens, raw, value) for value in values) / len(values)


def _reads(lens: Any, raw: str, value: Any) -> bool:
    try:
        return lens.read({raw: value}, _SAME) is not UNKNOWN
    except (LensError, Unresolved):
        return False


# --- writing ---------------------------------------------------------------------------------------------------------


def _line(
    spec: FieldSpec, kept: Mapping[str, FieldSchema], raw: str | None, guesses: list[tuple[float, str]],
    sample: Sequence[Mapping[str, Any]], taken: set[str],
) -> Line:
    if spec.type == "when":
        return _when(spec, kept)
    if spec.type == "related":
        return _related(spec, kept)
    if raw is None:
        others = [f"{other} ({score:.2f})" for score, other in guesses[:3] if score > 0.4 and other not in taken]
        return Line(spec.name, {}, [f"perhaps {', '.join(others)}?"] if others else [])
    score = next(value for value, name in guesses if name == raw)
    doubts = []
    if score < SURE:
        others = [other for _, other in guesses[:4] if other != raw and other not in taken][:2]
        or_else = f"; or {' or '.join(others)}?" if others else "."
        doubts.append(f"{raw} is only similar by name ({score:.2f}){or_else}")
    each = kept[raw]
    options, more = _options(spec, each, kept, sample)
    doubts += more
    if not each.createable and not each.updateable:
        options["direction"] = "read"
    elif each.required:
        options |= {"required_on_create": "true", "never_blank": "true"}
    if each.createable != each.updateable:
        when = "when a record is created" if each.createable else "after a record was created"
        doubts.append(f"{raw} can be written only {when}: add `direction: read`?")
    if options.get("values") == {}:
        return Line(spec.name, {}, [f"perhaps {raw}, of which no value looks like one of ours?", *more])
    key = library()[DEFAULT[spec.type]].short or "field"
    return Line(spec.name, {key: _scalar(raw), **options}, doubts, key)


def _options(
    spec: FieldSpec, each: FieldSchema, kept: Mapping[str, FieldSchema], sample: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, Any], list[str]]:
    options: dict[str, Any] = {}
    doubts: list[str] = []
    writable = each.createable or each.updateable
    if spec.type == "text" and any(_MARKUP.search(str(row.get(each.name) or "")) for row in sample):
        options["lens"] = "rich_text"
    elif spec.type == "text" and each.length and not each.options and writable:
        options["max_length"] = str(each.length)
    if spec.type in ("number", "money") and each.scale is not None and writable:
        options["scale"] = str(each.scale)
    if spec.type == "money":
        currency = next((name for name in kept if _bare(name) in _CURRENCY), None)
        options |= {"currency": _scalar(currency)} if currency else {}
        options["default_currency"] = "USD"
        doubts.append("which currency are amounts in, where the system names none?")
    if spec.type == "date" and each.type == "datetime":
        options |= {"as": "datetime", "at": '"12:00"', "zone": "UTC"}
        doubts.append(f"{each.name} holds a moment: in which time zone do people read it?")
    if spec.type == "choice" and each.options:
        values, left = _values(spec, each)
        options["values"] = values
        doubts += left
        if len(values) < len(spec.choices):
            options["unknown"] = "ignore"
    if spec.roles and each.type == ROLES and each.options:
        values, left = _values(replace(spec, choices=spec.roles), each)
        options |= {"roles": values} if values else {}
        options |= {"unknown": "ignore"} if 0 < len(values) < len(spec.roles) else {}
        doubts += left
    if (readable := _readable(spec, each.name, each.type, sample)) is not None and readable < 1:
        doubts.append(f"{1 - readable:.0%} of the sample values in {each.name} cannot be read as {spec.type}.")
    return options, doubts


def _values(spec: FieldSpec, each: FieldSchema) -> tuple[dict[str, str], list[str]]:
    """The table of a choice: to each of ours the value of the system that is most like it; the rest is doubted."""
    table: dict[str, str] = {}
    doubts: list[str] = []
    scored = sorted(((_alike(choice, option), choice, option) for choice in spec.choices for option in each.options),
                    key=lambda one: -one[0])
    used: set[str] = set()
    for score, choice, option in scored:
        if score >= POSSIBLE and choice not in table and option not in used:
            table[choice] = option
            used.add(option)
            if score < SURE:
                doubts.append(f"is {option!r} {choice}?")
    for option in each.options:
        if option not in used:
            doubts.append(f"which choice is {option!r}? Write it into a list: the first is written, all are read.")
    if missing := [choice for choice in spec.choices if choice not in table]:
        doubts.append(f"nothing in {each.name} stands for {', '.join(missing)}.")
    return {_scalar(choice): _scalar(table[choice]) for choice in spec.choices if choice in table}, doubts


def _when(spec: FieldSpec, kept: Mapping[str, FieldSchema]) -> Line:
    def called(*words: str, kinds: tuple[str, ...]) -> str | None:
        return next((raw for raw, each in kept.items() if each.type in kinds
                     and any(word in _bare(raw) for word in words)), None)

    start = called("starttime", "startdate", "start", kinds=("datetime",))
    end = called("endtime", "enddate", "end", kinds=("datetime",))
    if start is None or end is None:
        return Line(spec.name)
    options = {"start": start, "end": end}
    if all_day := called("allday", kinds=("boolean", "bool")):
        options["all_day"] = all_day
    zone = called("zone", kinds=("string", "text", "choice"))
    if zone is not None and _bare(zone) in ("zone", "timezone"):
        options["zone_field"] = zone
    if minutes := called("durationinminutes", "duration", kinds=("int", "number")):
        options["minutes"] = minutes
    doubts = ["do start, end and length agree in the system?"] if "minutes" in options else []
    return Line(spec.name, {name: _scalar(raw) for name, raw in options.items()}, doubts)


def _related(spec: FieldSpec, kept: Mapping[str, FieldSchema]) -> Line:
    fields = {}
    for entity in spec.entities:
        named = {entity: Entity(entity, {})}
        found = [raw for raw, each in kept.items()
                 if len(each.references) == 1 and entity_of(each.references[0], named)]
        if found:
            fields[entity] = found[0]
    if not fields:
        several = [raw for raw, each in kept.items() if len(each.references) > 1]
        hint = f"{several[0]} refers to several objects: how do the ids of each begin?" if several else ""
        return Line(spec.name, {}, [hint] if hint else [])
    return Line(spec.name, {"fields": {entity: _scalar(raw) for entity, raw in fields.items()}})


_CURRENCY = ("currencyisocode", "dealcurrencycode", "currency", "currencycode")
_MARKUP = re.compile(r"<(p|div|br|span|ul|b|strong)\b[^>]*>", re.IGNORECASE)
_PLAIN = re.compile(r"[A-Za-z_][\w.$-]*")


def _scalar(text: str) -> str:
    """A word as YAML takes it inside braces."""
    if _PLAIN.fullmatch(text) and text.lower() not in ("true", "false", "null", "yes", "no", "on", "off", "y", "n"):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
