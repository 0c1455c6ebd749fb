"""The commands, in the order in which ``sidefeed --help`` shows them: by what a person is about to do."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar, Literal

import typer
from typer.core import TyperCommand, TyperGroup

MARKUP: Literal["markdown"] = "markdown"
"""How the help of every command is written."""

PANELS: dict[str, tuple[str, ...]] = {
    "Begin": ("demo", "init", "prepare", "link", "import", "sandbox"),
    "Sync": ("plan", "apply", "sync", "status", "approve", "skip", "undo", "pause", "resume", "up", "down", "serve"),
    "Decide": ("conflicts", "resolve", "ask", "release", "unlink"),
    "Understand": ("blame", "trace", "audit", "census", "errors", "retry", "budget", "calls"),
    "Mappings": ("check", "explain", "map", "rehearse", "canary", "backfill", "detach"),
    "Calendars": ("meet", "my-calendar", "team-calendar", "departed", "export"),
    "Forecast": ("forecast",),
}


Info = typer.models.CommandInfo | typer.models.TyperInfo


class Commands(TyperGroup):
    """The commands of the program, each built when it is called.

    Typer reads every parameter of a command to build it: for all of them together a fifth of what ``status`` costs. A
    list of commands needs their names and first sentences alone.
    """

    infos: ClassVar[dict[str, Info]] = {}
    """What each command is built from, in the order of the help."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = {name: _listed(name, info) for name, info in self.infos.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, listed, rest = super().resolve_command(ctx, args)
        return name, listed and built(name or ""), rest


def built(name: str) -> Any:
    """One command or group of commands with its parameters, ready to be called."""
    info = Commands.infos[name]
    alone = typer.Typer(add_completion=False, rich_markup_mode=MARKUP)
    if isinstance(info, typer.models.CommandInfo):
        alone.registered_commands.append(info)
        return typer.main.get_command(alone)
    alone.registered_groups.append(info)
    return typer.main.get_group(alone).commands[name]


def _listed(name: str, info: Info) -> TyperCommand:
    if isinstance(info, typer.models.TyperInfo):
        told: str | None = typer.main.solve_typer_info_help(info)
    else:
        told = info.help or inspect.getdoc(info.callback)
    return TyperCommand(name, help=told, rich_help_panel=str(info.rich_help_panel), rich_markup_mode=MARKUP)


def name_of(info: Info) -> str:
    """What a command or a group of commands is called on the command line."""
    if info.name:
        return str(info.name)
    return info.callback.__name__.replace("_", "-") if info.callback else ""


def arrange(app: typer.Typer) -> None:
    """Take the commands that were registered, and give each its panel. Groups and commands share the panels."""
    found: dict[str, Info] = {name_of(info): info for infos in (app.registered_commands, app.registered_groups)
                              for info in infos}
    panel_of = {name: panel for panel, names in PANELS.items() for name in names}
    order = list(panel_of)
    for name in sorted(found, key=lambda name: order.index(name) if name in panel_of else len(order)):
        found[name].rich_help_panel = panel_of.get(name, "More")
        Commands.infos[name] = found[name]
    app.registered_commands.clear()
    app.registered_groups.clear()
