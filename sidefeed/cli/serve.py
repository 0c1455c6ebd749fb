"""``sidefeed serve``: the pages over one project, for the people who read the forecast."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer
from rich.markup import escape

from sidefeed.cli import output
from sidefeed.cli.output import USAGE
from sidefeed.cli.shared import JsonOption, ProjectOption, errors

if TYPE_CHECKING:
    from sidefeed.project import Project
    from sidefeed.web.access import Person
    from sidefeed.workspace import Store

PORT = 8750


def register(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command()(serve)


def serve(
    project: ProjectOption = Path(),
    port: Annotated[int, typer.Option(help="The port to listen on; 0 takes a free one.", min=0, max=65535)] = PORT,
    host: Annotated[str, typer.Option(help="The address to listen on. Another than this machine's own needs "
                                           "[web] in sidefeed.toml.")] = "127.0.0.1",
    person: Annotated[str, typer.Option("--as", help="Print a sign-in link for this person of [people]. Default: the "
                                               "one that [web] person names, else whoever starts the server.")] = "",
    link: Annotated[bool, typer.Option("--link", help="Print another sign-in link for a server that runs already, "
                                                      "and end.")] = False,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open the page.")] = False,
    json: JsonOption = False,
) -> None:
    """Show the forecast, the deals, the conflicts and the feeds as pages in the browser.

    Prints a link that signs you in once, and serves until Ctrl+C. Who sees what stands in [people] of sidefeed.toml.
    Whoever may read the project sees everything, and comes in as director; [web] person and --as sign in somebody of
    [people] instead, under whose name decisions are then kept.
    """
    from sidefeed.project import Project

    with errors(json):
        opened = Project.load(project)
        store = opened.store()
        try:
            if link:
                at = opened.settings.web.url or _address(host, port)
                _print(opened, at, _invite(opened, store, person), json=json)
            else:
                _serve(opened, store, host, port, person, browser=not no_browser and not json, json=json)
        finally:
            store.close()


def _serve(
    project: Project, store: Store, host: str, port: int, person: str, *, browser: bool, json: bool
) -> None:
    import uvicorn

    from sidefeed.forecast.view import calendar_of
    from sidefeed.project import LOOPBACK
    from sidefeed.web import create_app
    from sidefeed.web.desk import Files
    from sidefeed.web.oidc import Provider

    people = _people(project)
    listening = _listen(host, port, safe=bool(project.settings.web.url), json=json)
    at = _address(host, listening.getsockname()[1])
    web = project.settings.web
    oidc = project.identity_provider()
    provider = None if oidc is None else Provider(oidc, f"{web.url or at}/sign-in/callback", store.now)
    app = create_app(
        store, project.mappings(), people, hosts=[*LOOPBACK, *filter(None, [urlsplit(web.url).hostname])],
        secure=web.url.startswith("https:"), cookie=f"sidefeed-{listening.getsockname()[1]}", provider=provider,
        calendar=calendar_of(project.settings.forecast), files=Files(project.mapping_folder, project.mappings),
        systems=project.systems, currency=project.settings.forecast.currency, zone=project.settings.timezone)
    invited = _invite(project, store, person)
    at = web.url or at
    _print(project, at, invited, json=json)
    if browser:
        import webbrowser

        webbrowser.open(f"{at}/sign-in?token={invited[1]}")
    config = uvicorn.Config(app, log_level="warning", server_header=False, date_header=True)
    uvicorn.Server(config).run(sockets=[listening])


def _people(project: Project) -> dict[str, Person]:
    """Everybody of [people], and whoever started the server."""
    from sidefeed.web.access import people, this_machine

    own = this_machine()
    return {own.email: own, **people(project.settings.people)}


def _invite(project: Project, store: Store, asked: str) -> tuple[Person, str]:
    """Whom a new link signs in, and its token. Raises ProjectError for somebody who is not known."""
    from sidefeed.project import ProjectError
    from sidefeed.web.access import invite, this_machine

    known = _people(project)
    wanted = asked or project.settings.web.person
    person = known.get(wanted.strip().lower() or this_machine().email)
    if person is None:
        raise ProjectError(f"{wanted}{'' if asked else ' ([web] person)'} is not in [people] of "
                           f"{project.folder / 'sidefeed.toml'}; there "
                           f"{'is nobody' if len(known) == 1 else 'are ' + ', '.join(list(known)[1:])}.")
    return person, invite(store, person.email)


def _listen(host: str, port: int, *, safe: bool, json: bool) -> socket.socket:
    if host not in ("127.0.0.1", "localhost") and not safe:
        output.fail(f"--host {host} would let others reach the pages over plain http. Put a proxy with https in front "
                    f"and say its address in [web] url of sidefeed.toml; docs/pages.md shows how.", USAGE, json=json)
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen()  # before the link is told, so that whoever follows it at once is heard
    except OSError as error:
        output.fail(f"port {port} cannot be listened on ({error.strerror}). If `sidefeed serve` runs already, "
                    f"`sidefeed serve --link` prints another link to it; else choose another with --port.", USAGE,
                    json=json)
    return listening


def _address(host: str, port: int) -> str:
    return f"http://{host}:{port}"


def _print(project: Project, at: str, invited: tuple[Person, str], *, json: bool) -> None:
    person, token = invited
    told: dict[str, Any] = {"ok": True, "url": at, "sign_in": f"{at}/sign-in?token={token}", "person": person.email,
                            "role": person.role}
    if json:
        output.print_json_line(told)
        return
    output.out.print(f"Sidefeed is at {at}\nThis link signs in {escape(person.name)} ({person.role}), once, within ten "
                     f"minutes:\n\n  {told['sign_in']}\n")
    people = project.settings.people
    if people and person.email not in (email.strip().lower() for email in people):
        output.out.print(escape(f"{person.name} is not in [people], and sees everything because the workspace can be "
                                f"read here anyway. --as {next(iter(people))} signs in somebody of [people]; [web] "
                                f"person in sidefeed.toml says who sits at this machine."))
    output.out.print("Ctrl+C stops it.")
