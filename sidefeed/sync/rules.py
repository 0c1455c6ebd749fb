"""A decision that becomes a rule: the mapping file, its golden test, and every open conflict that the rule decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sidefeed.mapping import Mapping as Mappings
from sidefeed.mapping import MappingErrors
from sidefeed.mapping.always import Edit, NotWritten, golden, rule, take_back, write
from sidefeed.sync.policy import choose, decision, policy_name
from sidefeed.workspace import Head, Transaction


def adopt_policy(tx: Transaction, before: Mappings, after: Mappings, entity: str, field: str) -> int:
    """A field's policy was changed on purpose: decide its open conflicts by it, and take the mapping as confirmed where
    nothing else changed. Returns how many conflicts were decided."""
    by_object = {(om.system, om.object): om for om in before.objects}
    for om in after.objects:
        name = f"mapping:{om.system}:{om.object}"
        old = by_object.get((om.system, om.object))
        if om.entity == entity and old is not None and tx.setting(name) == old.fingerprint:
            tx.save_setting(name, om.fingerprint)
    states = tx.records([state.id for state in tx.conflicted(entity) if field in state.conflicts])
    policy = after.entities[entity].fields[field].policy
    drafts = [decision(state, field, winner.value, policy_name(policy), heads) for state in states.values()
              if (heads := state.conflicts.get(field)) and (winner := choose(policy, heads)) is not None]
    tx.append(drafts)
    return len(drafts)


@dataclass(frozen=True, slots=True)
class Rule:
    """A decision that became a rule: the files it was written to, how many other conflicts it decided, and the mapping
    as it is now."""

    files: tuple[Path, ...]
    others: int
    mappings: Mappings


def make_rule(
    tx: Transaction, folder: Path, load: Callable[[], Mappings], entity: str, field: str, system: str,
    heads: Sequence[Head], *, actor: str | None = None, via: str | None = None,
) -> Rule:
    """From now on a system's value wins a field: the mapping file, its golden test and every open conflict about it.

    ``heads`` are the sides of the conflict that led to it. Raises NotWritten, with the files as they were, where one of
    them cannot be written or the mapping would not hold.
    """
    before = load()
    sides = {head.source: head.value for head in heads}
    edits: list[Edit] = [rule(folder, entity, field, system), golden(folder, entity, field, system, sides)]
    write(edits)
    try:
        after = load()
        decided = adopt_policy(tx, before, after, entity, field)
        tx.note("rule", actor=actor, via=via, system=system, object=entity, field=field, rule={"prefer": system},
                conflicts_decided=decided, files=[edit.path.name for edit in edits])
        return Rule(tuple(edit.path for edit in edits), decided, after)
    except MappingErrors as error:
        take_back(edits)
        raise NotWritten(f"the mapping would not hold with it: {error}") from None
    except BaseException:
        take_back(edits)
        raise
