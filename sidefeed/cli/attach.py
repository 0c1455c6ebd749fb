"""``sidefeed prepare`` and ``sidefeed detach``: what a system must have before it is written, and how it is left."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from sidefeed.cli import output
from sidefeed.cli.output import ATTENTION, USAGE
from sidefeed.cli.shared import ActorOption, JsonOption, ProjectOption, errors

if TYPE_CHECKING:
    from sidefeed.connector import Connector
    from sidefeed.mapping import Mapping

SystemArgument = Annotated[str, typer.Argument(help="The system, as in the settings.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(prepare)
    app.command()(detach)


def prepare(
    system: SystemArgument,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what is missing, and make nothing.")] = False,
    project: ProjectOption = Path(),
    json: JsonOption = False,
) -> None:
    """Make what a mapping needs in a system, or say what an administrator must do.

    That is the key field that keeps a repeated create from making a duplicate, one for each object that the mapping
    creates records of, the roles in which it lists people (HubSpot: association labels), and contact folders of their
    own (Exchange, Microsoft 365: `contacts_folder`). Run it again at any time: what is there is left alone. Ends with 0
    where everything is ready, 1 where an administrator has to act.
    """
    from sidefeed.mapping import prepare as preparing
    from sidefeed.project import Project

    with errors(json):
        opened = Project.load(project)
        try:
            mappings, connector = opened.mappings(), opened.connector(system)
            said = preparing.prepare(mappings, system, connector, apply=not dry_run)
            left = _not_ready(mappings, system, connector)
        finally:
            opened.close()
    if json:
        output.print_json({"ok": not left, "said": said, "not_ready": left})
    else:
        for sentence in said:
            output.out.print(escape(sentence))
        output.out.print(f"[yellow]not ready:[/yellow] {escape(', '.join(left))}" if left else
                         f"{escape(system)} is ready.")
    if left:
        raise typer.Exit(ATTENTION)


def _not_ready(mappings: Mapping, system: str, connector: Connector) -> list[str]:
    """Objects whose key field does not serve, or that lack a role or a folder, as `sidefeed check` sees it."""
    from dataclasses import replace

    from sidefeed.mapping.check import check
    from sidefeed.mapping.lenses import References
    from sidefeed.sync.look import rights_of

    mine = replace(mappings, objects=mappings.for_system(system))
    found = check(mine, lambda _system, object: connector.describe(object), lambda need: rights_of(connector, need))
    roles = {(om.object, each.name) for om in mine.objects for each in om.fields if isinstance(each.lens, References)}
    return list(dict.fromkeys(
        one.object for one in found if one.code in ("key-field-missing", "key-field-unfit", "not-prepared")
        or (one.code == "value-missing" and (one.object, one.field) in roles)))


def detach(
    system: SystemArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this it is only told.")] = False,
    actor: ActorOption = "ops",
    project: ProjectOption = Path(),
    json: JsonOption = False,
) -> None:
    """Take our marks out of a system and forget its links; say what stays.

    Without `--yes` nothing is done. Records stay in the system with everything in them, and the workspace keeps its
    records and their history. A system that stays in the settings is linked again, by first contact, at the next sync.
    """
    from sidefeed.connector import Detaches
    from sidefeed.mapping.prepare import keyed
    from sidefeed.project import Project
    from sidefeed.sync import detach as forgetting

    with errors(json):
        opened = Project.load(project, actor=actor)
        try:
            connector = opened.connector(system)
            objects = keyed(opened.mappings(), system)
            if not isinstance(connector, Detaches):
                output.fail(f"the connector of {system} cannot take its marks back; delete the key field of "
                            f"{', '.join(objects) or 'its objects'} by hand.", USAGE, json=json)
            store = opened.store() if opened.has_workspace else None
            try:
                links: dict[str, int] = {}
                if store is not None:
                    with store.read() as tx:
                        links = forgetting.linked(tx, system)
                    if yes:
                        with store.lease(f"sync:{system}", "detach"), store.write() as tx:
                            forgetting.forget(tx, system)
            finally:
                if store is not None:
                    store.close()
            said = list(connector.detach(objects, apply=yes))
        finally:
            opened.close()
    stays = [f"{count} linked records of {object} stay in {system} as they are" for object, count in links.items()]
    stays += ["the workspace keeps its records and their history",
              f"[systems.{system}] stays in sidefeed.toml: remove it, or the next sync links everything again"]
    if json:
        output.print_json({"ok": True, "done": yes, "said": said, "forgotten": links, "stays": stays})
        return
    for sentence in said:
        output.out.print(escape(sentence))
    output.out.print(f"{sum(links.values())} links {'were' if yes else 'would be'} forgotten. What stays:")
    for sentence in stays:
        output.out.print(escape(f"- {sentence}"))
    if not yes:
        output.out.print("Nothing was done; `--yes` does it.")
