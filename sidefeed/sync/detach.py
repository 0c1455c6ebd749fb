"""Forget a system in the workspace: links, cursors and what waits, never the history."""

from __future__ import annotations

import sqlalchemy as sa

from sidefeed.workspace import Transaction
from sidefeed.workspace import tables as t


def linked(tx: Transaction, system: str) -> dict[str, int]:
    """How many live links there are, by object."""
    query = (sa.select(t.link.c.object, sa.func.count()).where(t.link.c.system == system, t.link.c.state == "live")
             .group_by(t.link.c.object).order_by(t.link.c.object))
    return {row[0]: row[1] for row in tx.connection.execute(query)}


def forget(tx: Transaction, system: str) -> None:
    """Detach every link, drop cursors, inbox, kept images and what is remembered of the system itself. Records, their
    history and the identity of each remote record stay, so that the system can be attached again."""
    run = tx.connection.execute
    tx.note("detach", system=system, links=linked(tx, system))
    run(sa.update(t.link).where(t.link.c.system == system).values(state="detached", due=False, digest=None, sent=None))
    for table in (t.cursor, t.inbox, t.base, t.refusal):
        run(sa.delete(table).where(table.c.system == system))
    run(sa.delete(t.question).where(t.question.c.system == system, t.question.c.answer.is_(None)))
    run(sa.delete(t.system).where(t.system.c.name == system))
    run(sa.delete(t.setting).where(sa.or_(*(
        t.setting.c.name.startswith(f"{kind}:{system}:", autoescape=True) for kind in ("mapping", "schema", "seen")))))
