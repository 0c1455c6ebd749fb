"""The application: its addresses, its headers, who comes in, and what stands on a page when something is wrong."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sidefeed.forecast.periods import Calendar
from sidefeed.mapping import Mapping as Mappings
from sidefeed.web import (
    access,
    accuracies,
    deals,
    decisions,
    feeds,
    forecasts,
    maps,
    mine,
    parked,
    promises,
    rules,
    team_feed,
    workbooks,
)
from sidefeed.web.desk import HERE, Desk, Files, NotSignedIn, SignedIn, desk_of, posted, read_form
from sidefeed.web.oidc import ATTEMPT_LIFE, Provider, SignInRefused
from sidefeed.workspace import Store

LOOPBACK = ("127.0.0.1", "localhost")

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
                               "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
"""Sent with every answer. Pico draws its arrows from data: images; nothing else comes from anywhere but here."""


def create_app(
    store: Store, mappings: Mappings, people: Mapping[str, access.Person], *, hosts: Sequence[str] = LOOPBACK,
    secure: bool = False, cookie: str = "sidefeed", provider: Provider | None = None,
    calendar: Calendar | None = None, files: Files | None = None,
    systems: Sequence[str] | None = None, currency: str = "", zone: str = "UTC",
) -> FastAPI:
    """The pages over one workspace.

    ``hosts`` are the names the server answers to (another name is refused, so that no foreign page can point its own
    name here); ``secure`` says that browsers reach it over https. With a ``provider`` people sign in
    there; without, by links that work once. ``calendar`` says how the company divides its years;
    ``files`` where a decision may be made a rule; ``systems`` which ones the project connects to;
    ``currency`` in which one to report (empty: each apart); ``zone`` where a day ends.
    """
    desk = Desk(store, mappings, people, secure=secure, cookie=cookie, calendar=calendar, files=files,
                systems=systems, currency=currency, zone=zone)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        desk.board.warm_up()
        yield
        desk.board.close()

    app = FastAPI(title="Sidefeed", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.desk = desk
    for room in (forecasts, promises, deals, decisions, parked, rules, mine, workbooks, feeds, accuracies, maps,
                 team_feed):
        app.include_router(room.router)
    app.state.provider = provider
    _doors(app)
    if provider is not None:
        _provider_doors(app, provider)
    _static(app)
    _errors(app)
    app.add_middleware(GZipMiddleware, minimum_size=1000)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    app.add_middleware(_Guarded)
    return app


class _Guarded:
    """Adds the headers, and refuses a form that another site sent."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name for name, _value in message["headers"]}
                own = HEADERS if b"cache-control" in given else {**HEADERS, "cache-control": "no-store"}
                message["headers"] = [*message["headers"], *(
                    (name.encode(), value.encode()) for name, value in own.items())]
            await send(message)

        if request.method not in ("GET", "HEAD") and _foreign(request):
            answer = HTMLResponse("This form was sent by another site. Nothing was changed.", status_code=403)
            await answer(scope, receive, guarded)
            return
        await self.app(scope, receive, guarded)


def _foreign(request: Request) -> bool:
    """Whether the browser says that the form came from elsewhere; the port counts, the scheme is the proxy's."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return True
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != request.headers.get("host")


def _doors(app: FastAPI) -> None:
    @app.get("/sign-in", include_in_schema=False)
    def sign_in_page(request: Request, token: str = "") -> Response:
        """A link is opened by a person and by whatever previews it: only the button uses it up."""
        desk = desk_of(request)
        good = bool(token) and access.peek(desk.store, token)
        return _outside(desk, "sign_in.html", status=200 if good or not token else 410, token=token if good else "",
                        asked=bool(token), provider=_provider_name(request))

    @app.post("/sign-in", include_in_schema=False)
    async def sign_in(request: Request) -> Response:
        desk = desk_of(request)
        form = await read_form(request)
        person = desk.people.get(access.redeem(desk.store, form.get("token", "")) or "")
        if person is None:
            return _outside(desk, "sign_in.html", status=410, token="", asked=True,
                            provider=_provider_name(request))
        return _let_in(desk, person)

    @app.post("/sign-out", include_in_schema=False)
    async def sign_out(request: Request, visitor: SignedIn) -> Response:
        await posted(request, visitor)
        visitor.desk.sessions.close(visitor.session)
        answer = RedirectResponse("/sign-in", status_code=303)
        answer.delete_cookie(visitor.desk.cookie, path="/")
        return answer


def _provider_name(request: Request) -> str:
    provider: Provider | None = request.app.state.provider
    return provider.name if provider is not None else ""


def _let_in(desk: Desk, person: access.Person) -> Response:
    """A new session for a person, on its way to the forecast."""
    session = desk.sessions.open(person)
    answer = RedirectResponse("/", status_code=303)
    answer.set_cookie(desk.cookie, session.id, httponly=True, samesite="lax", secure=desk.secure, path="/",
                      max_age=int(access.SESSION_LIFE.total_seconds()))
    return answer


def _provider_doors(app: FastAPI, provider: Provider) -> None:
    """The way to the identity provider and back."""
    desk: Desk = app.state.desk
    browser = f"{desk.cookie}-browser"

    def refused(said: str) -> Response:
        answer = _outside(desk, "sign_in.html", status=403, token="", asked=False, provider=provider.name, refused=said)
        answer.delete_cookie(browser, path="/sign-in")
        return answer

    @app.get("/sign-in/start", include_in_schema=False)
    def start() -> Response:
        try:
            address, secret = provider.begin()
        except SignInRefused as error:
            return refused(str(error))
        answer = RedirectResponse(address, status_code=303)
        answer.set_cookie(browser, secret, httponly=True, samesite="lax", secure=desk.secure, path="/sign-in",
                          max_age=int(ATTEMPT_LIFE.total_seconds()))
        return answer

    @app.get("/sign-in/callback", include_in_schema=False)
    def callback(request: Request) -> Response:
        try:
            email = provider.finish(dict(request.query_params), request.cookies.get(browser, ""))
        except SignInRefused as error:
            return refused(str(error))
        person = desk.people.get(email)
        if person is None or person == access.this_machine():  # whom no provider vouches for
            return refused(f"{email} is not among the people who may see these pages. Whoever looks after Sidefeed "
                           f"can add a table [people.\"{email}\"] to sidefeed.toml.")
        answer = _let_in(desk, person)
        answer.delete_cookie(browser, path="/sign-in")
        return answer


def _outside(desk: Desk, template: str, *, status: int = 200, **values: object) -> HTMLResponse:
    """A page for somebody who is not signed in."""
    page = desk.templates.get_template(template).render(**{"me": None, "provider": "", "refused": "", **values})
    return HTMLResponse(page, status_code=status)


def _static(app: FastAPI) -> None:
    """The few files of the pages, read once and compressed once; their address changes with their content."""
    desk: Desk = app.state.desk
    files = {path.name: _File(path) for path in sorted((HERE / "static").iterdir())
             if path.suffix in (".css", ".js", ".svg")}
    desk.templates.globals["asset"] = lambda name: f"/static/{files[name].tag}/{name}"

    @app.get("/favicon.ico", include_in_schema=False)
    def icon() -> Response:
        return Response(files["mark.svg"].content, media_type="image/svg+xml")

    @app.get("/static/{tag}/{name}", include_in_schema=False)
    def static(request: Request, tag: str, name: str) -> Response:
        file = files.get(name)
        if file is None:
            raise HTTPException(404, "There is no such file.")
        packed = "gzip" in request.headers.get("accept-encoding", "")
        headers = {"cache-control": "public, max-age=31536000, immutable", "vary": "Accept-Encoding"}
        if packed:
            headers["content-encoding"] = "gzip"
        return Response(file.packed if packed else file.content, media_type=file.kind, headers=headers)


class _File:
    def __init__(self, path: Path) -> None:
        self.content = path.read_bytes()
        self.packed = gzip.compress(self.content, mtime=0)
        self.tag = hashlib.sha256(self.content).hexdigest()[:12]
        self.kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"


_SAID = {404: "There is no such page.", 405: "This address cannot be used like that."}


def _errors(app: FastAPI) -> None:
    @app.exception_handler(NotSignedIn)
    def not_signed_in(request: Request, _error: Exception) -> Response:
        if request.headers.get("hx-request"):
            return Response(status_code=401, headers={"hx-redirect": "/sign-in"})
        return RedirectResponse("/sign-in", status_code=303)

    @app.exception_handler(StarletteHTTPException)
    def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, StarletteHTTPException)
        said = str(error.detail) if isinstance(error, HTTPException) else _SAID.get(error.status_code,
                                                                                    str(error.detail))
        return _outside(desk_of(request), "error.html", status=error.status_code, said=said)

    @app.exception_handler(Exception)
    def failed(request: Request, _error: Exception) -> Response:
        return _outside(desk_of(request), "error.html", status=500,
                        said="The page could not be made. Nothing was changed. The terminal that runs `sidefeed "
                             "serve` says why; send that to whoever looks after Sidefeed.")
