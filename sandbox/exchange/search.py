"""FindItem: restrictions, sorting, paging and the calendar and contacts views.

Source: EWS reference, FindItem, CalendarView; throttling policy EWSFindCountLimit (1,000). What Exchange does with a
view of more than 1,000 items differs between reports: `ExchangeServer.view_limit` switches between a partial result
and ErrorExceededFindCountLimit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from . import calendar
from .calls import Call, attribute, required
from .errors import EwsError, not_implemented, schema_violation
from .properties import read_shape, render
from .restrictions import Searcher, paginate
from .soap import Element, M, T, add, child, element, local
from .store import CALENDAR, Folder, Item
from .values import parse_time

TRAVERSALS = ("Shallow", "SoftDeleted", "Associated")
TWO_YEARS = timedelta(days=731)


def find_item(call: Call, request: Element) -> Element:
    """FindItem."""
    traversal = attribute(request, "Traversal", TRAVERSALS)
    view = call.view(finding=True)
    shape = read_shape(child(request, "ItemShape"), view)
    for name in ("GroupBy", "DistinguishedGroupBy", "QueryString", "ConversationShape"):
        if child(request, name) is not None:
            raise not_implemented(name)
    searcher = Searcher(view)
    keep = searcher.restriction(child(request, "Restriction"))
    order = searcher.order(child(request, "SortOrder"))
    window = child(request, "CalendarView")
    paging = next(
        (
            node
            for node in request
            if local(node) in ("IndexedPageItemView", "FractionalPageItemView", "SeekToConditionPageItemView")
        ),
        None,
    )
    contacts_view = child(request, "ContactsView")
    if paging is not None and local(paging).startswith("Seek"):
        raise not_implemented("SeekToConditionPageItemView")

    def one(node: Element) -> Iterable[Element]:
        folder = call.folder(node)
        if window is not None:
            if keep is not None or order is not None:
                raise EwsError(
                    "ErrorInvalidOperation", "Restrictions and sort order may not be specified for a CalendarView."
                )
            return [_calendar_page(call, folder, window, shape, view)]
        found: Sequence[Item] = _candidates(folder, traversal)
        if keep is not None:
            found = [item for item in found if keep(item)]
        if order is not None:
            found = order(found)
        if contacts_view is not None:
            return [_contacts_page(call, found, contacts_view, shape, view)]
        page = paginate(found, paging, call.server.find_limit)
        return [_root(call, page.rows, page.attributes, shape, view)]

    return call.reply("FindItem", list(required(request, "ParentFolderIds")), one)


def _candidates(folder: Folder, traversal: str) -> list[Item]:
    if traversal == "Associated":
        return list(folder.associated.values())
    if traversal == "SoftDeleted":
        return []
    found = list(folder.items.values())
    if not folder.folder_class.startswith(CALENDAR):
        found.reverse()
    return found


def _root(call: Call, items: Sequence[Item], attributes: dict[str, str], shape: Any, view: Any) -> Element:
    root = element(f"{M}RootFolder", attributes)
    holder = add(root, f"{T}Items")
    for item in items:
        holder.append(render(item, shape, view))
    call.records += max(len(items) - 1, 0)
    return root


def _calendar_page(call: Call, folder: Folder, window: Element, shape: Any, view: Any) -> Element:
    if not folder.folder_class.startswith(CALENDAR):
        raise EwsError("ErrorCalendarFolderIsInvalidForCalendarView")
    start, end = (_moment(window, name, call) for name in ("StartDate", "EndDate"))
    if end < start:
        raise EwsError("ErrorCalendarEndDateIsEarlierThanStartDate")
    if end - start > TWO_YEARS:
        raise EwsError("ErrorCalendarViewRangeTooBig")
    most = window.get("MaxEntriesReturned")
    if most is not None and (not most.lstrip("-").isdigit() or int(most) <= 0):
        raise EwsError("ErrorInvalidPagingMaxRows")
    found = calendar.view(folder, start, end)
    total = len(found)
    limit = call.server.find_limit
    if most is not None:
        found = found[: int(most)]
    if limit is not None and len(found) > limit:
        if call.server.view_limit == "error":
            raise EwsError("ErrorExceededFindCountLimit", values=[("PolicyLimit", str(limit))])
        found = found[:limit]
    last = "true" if len(found) == total else "false"
    return _root(call, found, {"TotalItemsInView": str(total), "IncludesLastItemInRange": last}, shape, view)


def _moment(window: Element, name: str, call: Call) -> datetime:
    text = window.get(name)
    if text is None:
        raise schema_violation(f"The required attribute '{name}' is missing.", window.sourceline)
    value = parse_time(text, window)
    return value if value.tzinfo is not None else value.replace(tzinfo=call.zone.tz).astimezone(UTC)


def _contacts_page(call: Call, found: Sequence[Item], node: Element, shape: Any, view: Any) -> Element:
    from .contacts import file_as

    low, high = (node.get("InitialName") or "").casefold(), (node.get("FinalName") or "").casefold()
    rows = sorted(
        (item for item in found if item.kind in ("Contact", "DistributionList")),
        key=lambda item: file_as(item).casefold(),
    )
    rows = [item for item in rows if file_as(item).casefold() >= low and (not high or file_as(item).casefold() <= high)]
    most = int(node.get("MaxEntriesReturned") or 0) or call.server.find_limit or len(rows) or 1
    last = len(rows) <= most
    attributes = {"TotalItemsInView": str(len(rows)), "IncludesLastItemInRange": "true" if last else "false"}
    return _root(call, rows[:most], attributes, shape, view)
