"""The team calendar as calendars subscribe to it: opened by a token in the address, because no calendar signs in."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

from sidefeed.calendars.team import ADDRESS, answer
from sidefeed.web.desk import desk_of

router = APIRouter(include_in_schema=False)


@router.get(ADDRESS)
def team_feed(request: Request, token: str = "") -> Response:
    """Who is busy when, and never what with. Without the token there is no such feed."""
    store = desk_of(request).store
    with store.read() as tx:
        content = answer(tx, token, store.now())
    if content is None:
        raise HTTPException(404, "There is no such feed, or its token was replaced by another.")
    return Response(content, media_type="text/calendar; charset=utf-8")
