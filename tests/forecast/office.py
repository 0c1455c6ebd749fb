"""Two systems with deals, at memory speed, behind the real engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sidefeed.mapping import load
from sidefeed.sync import Engine
from sidefeed.workspace import Store
from tests.sync.world import FakeSystem, World

ENTITIES = """
entities:
  opportunity:
    deletes: %s
    fields:
      name: text
      money: {type: money, policy: ask}
      close_date: {type: date, policy: ask}
      stage: {type: choice, choices: [proposal, won, lost], policy: ask}
      next_step: text
"""

SYSTEM = """
system: %s
key_field: key
objects:
  Deal:
    entity: opportunity
    %s
    match: [name]
    fields:
      name: {field: Name, required_on_create: true}
      money: {amount: Amount, currency: Currency}
      close_date: Close
      stage: {field: Stage, values: {proposal: P, won: W, lost: L}}
"""


class Office:
    """System ``a`` is written; ``b`` is written too unless it is said to be ``readonly``."""

    def __init__(self, folder: Path, *, readonly_b: bool = False, deletes: str = "unlink") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "entities.yaml").write_text(ENTITIES % deletes)
        (folder / "a.yaml").write_text(SYSTEM % ("a", "creates: true"))
        (folder / "b.yaml").write_text(SYSTEM % ("b", "readonly: true" if readonly_b else "creates: true"))
        self.mappings = load(folder)
        self.world = World()
        self.store = Store.open(folder / "workspace.db", now=self.world.now)
        self.a, self.b = self.world.systems["a"], self.world.systems["b"]

    def sync(self, *systems: str) -> None:
        self.world.tick += 100
        connectors: dict[str, Any] = {name: self.world.systems[name] for name in systems or ("a", "b")}
        Engine(self.store, self.mappings, connectors).sync(approve=True)

    def deal(self, system: FakeSystem, name: str, amount: str, *, stage: str = "P", close: str = "2026-12-10",
             currency: str = "EUR") -> str:
        return system.person_creates("Deal", {"Name": name, "Amount": amount, "Currency": currency, "Close": close,
                                              "Stage": stage})
