"""The documents: what they link to exists, and no command is left out of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sidefeed.cli.panels import PANELS, Commands, built

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
LINK = re.compile(r"\[[^\]]*\]\((?!https?://|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)")


def _headings(page: Path) -> set[str]:
    """The anchors that a page's headings make, as GitHub and most renderers write them."""
    lines = re.findall(r"^#+\s+(.*)$", re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", line.replace("`", "").lower()).strip().replace(" ", "-") for line in lines}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for target, anchor in LINK.findall(text):
        place = (page.parent / target).resolve() if target else page
        assert place.exists(), f"{page.name} links to {target}"
        if anchor and place.suffix == ".md":
            assert anchor in _headings(place), f"{page.name} links to {target}#{anchor}"


def test_every_command_stands_in_one_panel_of_the_help() -> None:
    placed = [name for names in PANELS.values() for name in names]
    assert sorted(placed) == sorted(Commands.infos)


def test_every_command_is_told_of_in_the_documents() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert {name for name in Commands.infos if f"sidefeed {name}" not in text} == set()


def test_every_option_explains_itself() -> None:
    """Someone who reads `--help` never meets an option without a word on what it does."""
    silent = []
    stack = [(f"sidefeed {name}", built(name)) for name in Commands.infos]
    while stack:
        path, command = stack.pop()
        stack += [(f"{path} {name}", child) for name, child in getattr(command, "commands", {}).items()]
        silent += [f"{path} {parameter.name}" for parameter in command.params
                   if not (getattr(parameter, "help", None) or getattr(parameter, "hidden", False))]
        assert command.help, f"{path} says nothing of itself"
    assert silent == []
