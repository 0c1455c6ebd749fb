"""Commands of those who must be able to trust a sync: apply a plan, undo a run, prove that nothing was missed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sidefeed.cli import output
from sidefeed.cli.shared import (
    ActorOption,
    BodiesOption,
    JsonOption,
    ProjectOption,
    RecordOption,
    calls_of,
    end_with,
    errors,
    recorded,
)


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(apply)


def apply(
    plan: Annotated[Path, typer.Argument(help="A plan saved by `sidefeed plan --out`.")],
    project: ProjectOption = Path(),
    json: JsonOption = False,
    approve: Annotated[bool, typer.Option(help="Let the plan pass a guard that stopped it.")] = False,
    actor: ActorOption = "ops",
    record_calls: RecordOption = None,
    record_bodies: BodiesOption = False,
) -> None:
    """Do exactly what a saved plan says, or refuse, naming the difference, if the world moved since."""
    from sidefeed.project import Project
    from sidefeed.sync import SavedPlan

    with errors(json):
        saved = SavedPlan.load(plan)
        opened = Project.load(project, actor=actor)
        with recorded(opened, "apply", record_calls, bodies=record_bodies, json=json), \
                output.progress(quiet=json) as bar, opened.engine(saved.systems, progress=bar) as engine:
            report = engine.apply(saved, approve=approve)
            calls = calls_of(engine)
        opened.close()
    end_with(report, calls, json=json)
