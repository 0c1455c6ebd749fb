"""The pages over a workspace, served by uvicorn on a port of its own, and ways to sign in."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Mapping
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from sidefeed.mapping import load
from sidefeed.project import PersonSettings
from sidefeed.web import create_app
from sidefeed.web.access import Person, invite, people, this_machine
from sidefeed.workspace import Draft, Store
from tests.forecast.shop import money

MAPPINGS = Path(__file__).resolve().parents[2] / "mappings"

PEOPLE: dict[str, dict[str, str]] = {
    "dana@example.com": {"role": "director", "name": "Dana Cole"},
    "mia@example.com": {"role": "manager", "name": "Mia North", "manager": "dana@example.com"},
    "ann@example.com": {"role": "rep", "name": "Ann Lee", "manager": "mia@example.com"},
    "bob@example.com": {"role": "rep", "name": "Bob Ruiz", "manager": "mia@example.com"},
    "sam@example.com": {"role": "manager", "name": "Sam South", "manager": "dana@example.com"},
    "eve@example.com": {"role": "rep", "name": "Eve Stone", "manager": "sam@example.com"},
    "olga@example.com": {"role": "ops", "name": "Olga Ops"},
}


class Site:
    """A running server over one store; stops with `close`."""

    def __init__(self, store: Store, who: Mapping[str, Person] | None = None, **options: Any) -> None:
        self.store = store
        own = this_machine()
        self.people = dict(who) if who is not None else {own.email: own}
        self.app = create_app(store, load(MAPPINGS), self.people, **options)
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        self._server = uvicorn.Server(uvicorn.Config(self.app, log_level="error"))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listening]}, daemon=True)
        self._thread.start()
        self._clients: list[httpx.Client] = []

    def link(self, email: str = "") -> str:
        return f"{self.url}/sign-in?token={invite(self.store, email or next(iter(self.people)))}"

    def client(self, email: str = "") -> httpx.Client:
        """A browser without a screen that is signed in as this person."""
        client = httpx.Client(base_url=self.url, follow_redirects=True, timeout=30, trust_env=False)
        self._clients.append(client)
        token = self.link(email).partition("token=")[2]
        answer = client.post("/sign-in", data={"token": token})
        assert answer.status_code == 200, answer.text
        return client

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self._server.should_exit = True
        self._thread.join(20)


def read(answer: httpx.Response) -> str:
    """What a person reads on a page."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", answer.text)))


def ready(client: httpx.Client, path: str, query: Mapping[str, str]) -> str:
    """A part of the page, read once it is made: asked for again as the browser does."""
    for _attempt in range(600):
        page = client.get(path, params=query)
        if "load delay" not in page.text:
            return read(page)
        time.sleep(0.1)
    raise AssertionError(f"{path} was never made")


def listed(table: Mapping[str, Mapping[str, str]] = PEOPLE) -> dict[str, Person]:
    return people({email: PersonSettings.model_validate(one) for email, one in table.items()})


class Team:
    """Two teams with a few deals, written into a store as people and systems would have written them."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.users = {email: self.new("user", {"name": one["name"], "email": email})
                      for email, one in PEOPLE.items() if one["role"] != "ops"}
        self.account = self.new("account", {"name": "Alder Foods"})

    def new(self, entity: str, fields: dict[str, Any], *, source: str = "salesforce", actor: str = "ann@example.com"
            ) -> str:
        with self.store.write() as tx:
            id = tx.new_id()
            tx.append([Draft(entity, id, fields, actor, source)])
        return id

    def deal(self, name: str, owner: str | None, amount: str | None, *, category: str = "commit",
             close: str | None = "2026-12-10", stage: str = "proposal", currency: str = "EUR", **more: Any) -> str:
        return self.new("opportunity", {
            "name": name, "owner": self.users[owner] if owner else None, "money": money(amount, currency),
            "forecast_category": category, "close_date": close, "stage": stage, "account": self.account, **more})

    def dispute(self, record: str, field: str, values: Mapping[str, Any]) -> None:
        """Systems change one field, none having seen the others' values."""
        with self.store.write() as tx:
            state = tx.record(record)
            assert state is not None
            base = {field: state.heads_of(field)}
            tx.append([Draft(state.entity, record, {field: value}, "somebody@example.com", source, base=base)
                       for source, value in values.items()])

    def value(self, record: str, field: str) -> Any:
        with self.store.read() as tx:
            state = tx.record(record)
            assert state is not None
            return state.values.get(field)
