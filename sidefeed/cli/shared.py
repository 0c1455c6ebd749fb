"""What every command has in common: its options, and how errors end it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from sidefeed.cli import output
from sidefeed.cli.output import BUSY, STOPPED, UNREACHABLE, USAGE

ProjectOption = Annotated[Path, typer.Option("--project", "-C", help="The project folder, made by `sidefeed init`.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
SystemsArgument = Annotated[list[str] | None, typer.Argument(help="Systems to take part; all, if none are named.")]


@contextmanager
def errors(json: bool) -> Iterator[None]:
    """Turn what can go wrong into a sentence and an exit code."""
    from sidefeed.connector import AuthenticationFailed, ConnectorError
    from sidefeed.mapping import MappingErrors
    from sidefeed.project import ProjectError
    from sidefeed.sync import GuardTripped
    from sidefeed.workspace import LeaseHeld, StoreError

    try:
        yield
    except (ProjectError, MappingErrors) as error:
        output.fail(str(error), USAGE, json=json)
    except GuardTripped as tripped:
        output.fail(str(tripped), STOPPED, json=json)
    except LeaseHeld as error:
        output.fail(str(error), BUSY, json=json)
    except StoreError as error:
        output.fail(str(error), USAGE, json=json)
    except AuthenticationFailed as error:
        output.fail(f"{error.message} Renew the credentials in the project's settings.", UNREACHABLE, json=json)
    except ConnectorError as error:
        output.fail(f"{error.message} [{error.code}]", UNREACHABLE, json=json)
