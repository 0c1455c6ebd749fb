"""The order in which ``sidefeed --help`` shows the commands: by what a person is about to do."""

from __future__ import annotations

import typer

PANELS: dict[str, tuple[str, ...]] = {
    "Begin": ("demo", "init", "prepare", "link", "import", "sandbox"),
    "Sync": ("plan", "apply", "sync", "status", "approve", "skip", "undo", "up", "down", "serve"),
    "Decide": ("conflicts", "resolve", "ask", "release", "unlink"),
    "Understand": ("blame", "trace", "census", "errors", "retry", "budget"),
    "Mappings": ("check", "explain", "map", "rehearse", "canary", "backfill", "detach"),
    "Calendars": ("meet", "my-calendar", "team-calendar", "departed", "export"),
    "Forecast": ("forecast",),
}


def name_of(info: typer.models.CommandInfo | typer.models.TyperInfo) -> str:
    """What a command or a group of commands is called on the command line."""
    if info.name:
        return str(info.name)
    return info.callback.__name__.replace("_", "-") if info.callback else ""


def arrange(app: typer.Typer) -> None:
    """Give every command its panel. Groups and commands share the panels."""
    panel_of = {name: panel for panel, names in PANELS.items() for name in names}
    order = list(panel_of)
    for infos in (app.registered_commands, app.registered_groups):
        for info in infos:
            info.rich_help_panel = panel_of.get(name_of(info), "More")
        infos.sort(key=lambda info: order.index(name) if (name := name_of(info)) in panel_of else len(order))
