"""The lens library: one field's two-way translation between a system's raw values and a workspace value.

Laws, tested with Hypothesis for every lens here (``tests/mapping/test_laws.py``):

1. ``read(write(x)) == image(x)`` for every canonical ``x`` the lens accepts. ``image`` is the part of a value that the
   system can hold: the value itself, unless an option of the lens says otherwise (``too_long: truncate``).
2. ``settled(write(read(y)), y)`` for every ``y`` a system stores that the lens can read: writing back what was read
   changes nothing that the workspace can see.

3. ``image(put(s, x)) == s`` and ``put(image(x), x) == x``: where a system shows a part of a value, an edit of that part
   keeps the rest; and the other way round ``read({**w, **onto(w, y)}) == read(w)`` for ``w = write(x)``.

A lens that cannot keep them is one-way (``two_way`` is false) and says so in its description. A value that cannot cross
raises `LensError`; nothing is ever bent silently.

Lenses are built once from the mapping file and immutable. Third parties add one by the entry-point group
``sidefeed.lenses``: a subclass of `Lens` with its own ``Options``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from ..values import UNKNOWN, LensError, Unknown, Unresolved, Value

if TYPE_CHECKING:
    from ..model import FieldSpec

Raw = Mapping[str, Any]
MISSING: Final = object()


class Refs(Protocol):
    """How references travel: ids of one system to record ids and back. ``None`` where the other side has none yet."""

    def record(self, entity: str, external_id: str) -> str | None: ...

    def external(self, entity: str, record: str) -> str | None: ...

    def holder(self, entity: str, field: str, value: str) -> str | None:
        """The one record whose field holds this value."""
        ...

    def value(self, entity: str, record: str, field: str) -> Value:
        """What a field of another record holds; None where that is not known."""
        ...


Reader = Callable[[Raw, Refs], Value | Unknown]
Filler = Callable[[Value, Refs, dict[str, Any]], None]


class SameIds:
    """References whose ids are equal on both sides: for comparing two raw images of one record."""

    def record(self, entity: str, external_id: str) -> str | None:
        return external_id

    def external(self, entity: str, record: str) -> str | None:
        return record

    def holder(self, entity: str, field: str, value: str) -> str | None:
        return value

    def value(self, entity: str, record: str, field: str) -> Value:
        return record


_SAME: Final = SameIds()


class Options(BaseModel):
    """What may stand beside ``lens:`` for every field."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    lens: str | None = Field(None, description="The lens. Default: the one for the workspace field's type.")
    direction: Literal["both", "read", "write"] = Field(
        "both", description="`read`: from the system only. `write`: to the system only. Default: both."
    )
    required_on_create: bool = Field(
        False, description="The system creates no record without it; such a record waits until the field is filled."
    )
    create_as: str | bool | int | None = Field(
        None, description="The workspace value written where the field is blank when a record is created."
    )
    when: dict[str, Any] | None = Field(
        None,
        description="Write the field only to records of which each workspace field named holds one of the values "
        "listed; `null` is blank, `not blank` is anything else. Reading is not concerned.",
    )
    only_if_blank: bool = Field(
        False, description="Write the field only where the system holds a blank: what people entered there stays."
    )
    never_blank: bool = Field(False, description="Never write a blank over a value there.")


class OneField(Options):
    field: str = Field(description="The system's field.", min_length=1)


class Lens:
    """One field's translation. Subclass it, say which workspace ``types`` it serves, and give it ``Options``."""

    name: ClassVar[str]
    types: ClassVar[frozenset[str]]
    short: ClassVar[str | None] = "field"
    """The option that ``name: Text`` fills; None where the lens has no short form."""
    example: ClassVar[str]
    Options: ClassVar[type[Options]] = OneField

    raw: tuple[str, ...]
    two_way: bool = True
    blank_says_nothing: bool = True
    """Whether a blank may be left out when a record is created."""

    def __init__(self, options: Any, spec: FieldSpec) -> None:
        self.options = options
        self.spec = spec

    def read(self, raw: Raw, refs: Refs) -> Value | Unknown:
        """The workspace value; `UNKNOWN` where a raw field needed is missing. Raises LensError, Unresolved."""
        raise NotImplementedError

    def write(self, value: Value, refs: Refs) -> dict[str, Any]:
        """Raw values by raw field, None to clear. Raises LensError, Unresolved."""
        raise LensError("one-way", f"{self.name} only reads")

    def reader(self) -> Reader:
        """`read`, made once for a mapping: ordinary values go the shortest way, and all others through `read`.

        A subclass that changes `read` and does not know of this is read through `read`: it is never inherited.
        """
        return self.read

    def filler(self) -> Filler:
        """`write` into raw values at hand, made once for a mapping in the same way."""
        write = self.write

        def fill(value: Value, refs: Refs, raw: dict[str, Any]) -> None:
            raw.update(write(value, refs))

        return fill

    def image(self, value: Value) -> Value:
        """What of a value this system can hold."""
        return value

    def put(self, seen: Value, held: Value) -> Value:
        """What the workspace holds once the system shows ``seen`` where it held ``held``: what this lens has no words
        for stays."""
        return seen

    def onto(self, raw: Raw, held: Raw) -> dict[str, Any]:
        """The raw values to write over ``held``: what is there and this lens cannot show stays there."""
        return {}

    def settled(self, sent: Raw, seen: Raw) -> bool:
        """Is ``seen`` just the system's normal form of what we sent? Raw fields missing from ``seen`` say nothing."""
        told = {name: seen[name] for name in sent if name in seen}
        if all(sent[name] == value for name, value in told.items()):
            return True
        try:
            return self._same(self.read(sent, _SAME), self.read({**sent, **told}, _SAME))
        except (LensError, Unresolved):
            return False

    def _same(self, sent: Any, seen: Any) -> bool:
        return bool(sent == seen)

    def says(self, *, reads: bool, writes: bool) -> Iterator[str]:
        """Sentences for people about what becomes of values on the way in and out; none where nothing does."""
        return iter(())

    def pairs(self) -> dict[str, list[str]]:
        """Workspace value -> the system's values read as it, the one written first; empty where there is no table."""
        return {}

    def words(self, raw: Raw) -> Collection[str]:
        """What stands in these raw values of the kind that `pairs` translates."""
        return ()

    def references_in(self, raw: Raw) -> Iterable[tuple[str, str]]:
        return ()

    def references_out(self, value: Value) -> Iterable[tuple[str, str]]:
        return ()

    def keys_in(self, raw: Raw) -> Iterable[tuple[str, str, str]]:
        """Every (entity, field, value) that reading this record will look another record up by."""
        return ()


class Scalar(Lens):
    """A lens over one raw field, written as ``_in`` and ``_out`` of one value."""

    def __init__(self, options: Any, spec: FieldSpec) -> None:
        super().__init__(options, spec)
        self.field: str = options.field
        self.raw = (options.field,)

    def read(self, raw: Raw, refs: Refs) -> Value | Unknown:
        value = raw.get(self.field, MISSING)
        return UNKNOWN if value is MISSING else self._in(value)

    def write(self, value: Value, refs: Refs) -> dict[str, Any]:
        return {self.field: None if value is None else self._out(value)}

    def _in(self, raw: Any) -> Any:
        raise NotImplementedError

    def _out(self, value: Any) -> Any:
        return value
