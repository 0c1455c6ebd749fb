"""Policies decide conflicts. A decision is itself a change, by ``policy:<name>``, so it can be seen and undone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sidefeed.mapping import Mapping as Mappings
from sidefeed.mapping import Policy
from sidefeed.mapping.values import references
from sidefeed.workspace import DELETED, Draft, Head, RecordState, Transaction
from sidefeed.workspace.merge import merge_sets


def decide(
    tx: Transaction, mappings: Mappings, states: Iterable[RecordState],
    ancestors: Mapping[tuple[str, str], Any] | None = None,
) -> int:
    """Apply each field's policy to each conflict of these records; returns how many were decided.

    ``ancestors`` gives, for set fields, the value both sides started from: (record, field) -> value.
    """
    drafts = []
    for state in states:
        entity = mappings.entities[state.entity]
        for name, heads in state.conflicts.items():
            if name == DELETED or name not in entity.fields:
                continue
            spec = entity.fields[name]
            if spec.merge == "set":
                ancestor = (ancestors or {}).get((state.id, name))
                value = heads[0].value
                for head in heads[1:]:
                    value = merge_sets(ancestor, value, head.value)
                if spec.roles:
                    value = references(value)
                drafts.append(decision(state, name, value or None, "merge", heads))
                continue
            winner = choose(spec.policy, heads)
            if winner is not None:
                drafts.append(decision(state, name, winner.value, policy_name(spec.policy), heads))
    if drafts:
        tx.append(drafts)
    return len(drafts)


def policy_name(policy: Policy) -> str:
    return f"{policy.rule}:{policy.system}" if policy.system else policy.rule


def choose(policy: Policy, heads: list[Head]) -> Head | None:
    """The head a policy prefers, or None where people must decide."""
    if policy.never_blank:
        heads = [head for head in heads if head.value is not None] or heads
    if policy.rule == "fill":
        return next((head for head in heads if head.value is not None), None)
    if policy.rule == "prefer":
        heads = [head for head in heads if head.source == policy.system]
    elif policy.rule != "latest" and len({str(head.value) for head in heads}) > 1:
        return None
    return max(heads, key=lambda head: (head.at, head.hlc), default=None)


def can_revert(policy: Policy) -> bool:
    return policy.rule in ("prefer", "fill") or policy.never_blank


def reverts(policy: Policy, source: str, old_source: str | None, old: Any, new: Any) -> bool:
    """Whether a policy takes back an edit that was made with full knowledge of the value it replaced."""
    if policy.never_blank and new is None and old is not None:
        return True
    if policy.rule == "prefer":
        return old_source == policy.system and source not in (policy.system, "workspace")
    return policy.rule == "fill" and old is not None and source != "workspace"


def decision(state: RecordState, name: str, value: Any, policy: str, heads: list[Head]) -> Draft:
    sides = ", ".join(f"{head.source} said {head.value!r}" for head in heads)
    return Draft(state.entity, state.id, {name: value}, f"policy:{policy}", "policy", reason=f"{policy}: {sides}"[:500])
