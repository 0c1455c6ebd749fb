"""A lens of another distribution, found by its entry point: the files, the schema and the errors know it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sidefeed.cli.project_files import write_project

from .conftest import DEFAULTS

PAGE = DEFAULTS.parent / "docs" / "mappings.md"


def lens_of_the_docs() -> str:
    """The module that the reference page shows."""
    page = PAGE.read_text(encoding="utf-8")
    return page[page.index("## Add a lens"):].split("```python\n", 1)[1].split("```", 1)[0]


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A distribution as an installer leaves it, in a folder of its own."""
    place = tmp_path / "site"
    info = place / "acme_lenses-1.0.dist-info"
    info.mkdir(parents=True)
    (place / "acme_lenses.py").write_text(lens_of_the_docs(), encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-lenses\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[sidefeed.lenses]\nstars = acme_lenses:Stars\n")
    (info / "RECORD").write_text("")
    return place


def sidefeed(place: Path, folder: Path, *arguments: str) -> tuple[int, dict[str, object]]:
    done = subprocess.run([sys.executable, "-m", "sidefeed", *arguments, "-C", str(folder), "--json"], check=False,
                          capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(place)})
    return done.returncode, json.loads(done.stdout)


def test_an_installed_lens_is_used_by_name_and_explained(installed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    write_project(folder)
    entities, salesforce = folder / "mappings" / "entities.yaml", folder / "mappings" / "salesforce.yaml"
    entities.write_text(entities.read_text().replace("      website: url\n", "      website: url\n      rating: number\n", 1))
    salesforce.write_text(salesforce.read_text().replace(
        "      website: Website\n", "      website: Website\n      rating: {lens: stars, field: Rating__c}\n", 1))
    tests = folder / "mappings" / "tests" / "accounts.yaml"
    tests.write_text("""tests:
  - name: three stars
    given: {system: salesforce, object: Account, record: {Name: Acme, Rating__c: "***"}}
    workspace: {name: Acme, rating: 3}
    writes: {salesforce Account: {update: {Name: Acme, Rating__c: "***"}}}
""")
    code, report = sidefeed(installed, folder, "map", "test")
    assert (code, report["ok"]) == (0, True), report
    code, told = sidefeed(installed, folder, "explain", "account.rating")
    assert code == 0
    assert '"stars"' in json.dumps(told)
    (installed / "acme_lenses-1.0.dist-info" / "entry_points.txt").write_text("")
    code, report = sidefeed(installed, folder, "map", "test")
    assert code == 2
    assert "unknown lens 'stars'" in str(report["error"])
