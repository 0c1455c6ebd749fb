"""The house stays the house: who may import whom, what `--help` loads, which folders there are."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("hubspot", "simple_salesforce", "exchangelib", "pandas", "prefect", "sqlalchemy", "aiohttp")


def test_imports_run_one_way(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

    monkeypatch.chdir(ROOT)
    assert lint_imports(no_cache=True) == EXIT_STATUS_SUCCESS


def test_no_module_needs_itself() -> None:
    """Imports inside functions count; those for types alone do not. Raises CycleError, which names the circle."""
    graph = grimp.build_graph("sidefeed", "connectors", "flows", exclude_type_checking_imports=True, cache_dir=None)
    needs = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    order = list(TopologicalSorter(needs).static_order())
    assert order.index("sidefeed.sync.writes") < order.index("sidefeed.sync.plan") < order.index("sidefeed.sync.engine")


@pytest.mark.parametrize("command", [["--help"], ["sync", "--help"]])
def test_help_loads_none_of_the_systems_libraries(command: list[str]) -> None:
    code = ("import sys; from sidefeed.cli import app\n"
            f"try: app({command!r})\nexcept SystemExit: pass\n"
            f"print('LOADED', [name for name in {HEAVY!r} if name in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "LOADED []"


def test_what_is_imported_is_declared() -> None:
    """Every third-party package that the product imports is in pyproject.toml."""
    import ast
    from importlib.metadata import packages_distributions

    ours = {"sidefeed", "connectors", "flows", "mappings", "sandbox", "tests", "benchmarks"}
    used: set[str] = set()
    for folder in ("sidefeed", "connectors", "flows", "sandbox"):
        for path in (ROOT / folder).rglob("*.py"):
            if path.name == "pytest_plugin.py":
                continue  # imported by pytest alone
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    used.update(alias.name.partition(".")[0] for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    used.add(node.module.partition(".")[0])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {_name(line) for line in [*project["dependencies"], *project["optional-dependencies"]["postgres"]]}
    known = packages_distributions()
    missing = {module for module in used - ours - set(sys.stdlib_module_names)
               if not declared & {name.lower().replace("_", "-") for name in known.get(module, [module])}}
    assert missing == set()


def _name(requirement: str) -> str:
    head = requirement
    for mark in "[<>=!~; ":
        head = head.partition(mark)[0]
    return head.strip().lower().replace("_", "-")


def test_the_newest_migration_is_the_one_the_store_expects() -> None:
    from sidefeed.workspace.migrate import HEAD

    found = sorted(path.name[:4] for path in (ROOT / "sidefeed/workspace/migrations/versions").glob("[0-9]*.py"))
    assert found[-1] == HEAD
