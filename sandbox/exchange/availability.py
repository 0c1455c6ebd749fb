"""GetUserAvailability and automatic replies.

Source: EWS reference, GetUserAvailability (at most 100 mailboxes, 62 days; details only for those who may read the
calendar), FreeBusyViewOptions, GetUserOofSettings, SetUserOofSettings.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from . import calendar
from .calls import Call, required
from .errors import EwsError, RequestFault, not_implemented, schema_violation
from .soap import Element, M, T, add, boolean, child, clean, element, local, message_root, text_of
from .store import Item, Mailbox
from .timezones import AvailabilityZone, serializable
from .values import parse_time, wire_time

DIGITS = {"Free": 0, "Tentative": 1, "Busy": 2, "OOF": 3, "WorkingElsewhere": 4, "NoData": 4}
VIEWS = ("None", "MergedOnly", "FreeBusy", "FreeBusyMerged", "Detailed", "DetailedMerged")
MAX_WINDOW = timedelta(days=62)
MAX_MAILBOXES = 100


def get_user_availability(call: Call, request: Element) -> Element:
    """GetUserAvailability."""
    mailboxes = [node for node in required(request, "MailboxDataArray") if local(node) == "MailboxData"]
    if not mailboxes:
        raise RequestFault("ErrorIdentityArrayEmpty", "The identity array is empty.")
    if len(mailboxes) > MAX_MAILBOXES:
        raise RequestFault("ErrorIdentityArrayTooBig", f"The identity array has more than {MAX_MAILBOXES} entries.")
    options = child(request, "FreeBusyViewOptions")
    if child(request, "SuggestionsViewOptions") is not None or options is None:
        raise not_implemented("GetUserAvailability without FreeBusyViewOptions or with SuggestionsViewOptions")
    zone_node = child(request, "TimeZone")
    try:
        zone: tzinfo = AvailabilityZone(zone_node) if zone_node is not None else call.zone.tz
    except ValueError as error:
        raise schema_violation(f"The 'TimeZone' element is invalid - {error}", request.sourceline) from None
    window = _window(options, zone)
    interval = _interval(options)
    view = (text_of(options, "RequestedView") or "FreeBusyMerged").strip()
    if view not in VIEWS:
        raise schema_violation(
            f"The 'RequestedView' element is invalid - The value '{view}' is invalid.", options.sourceline
        )
    if view == "None":
        raise RequestFault("ErrorInvalidFreeBusyViewType")
    root = message_root(f"{M}GetUserAvailabilityResponse")
    holder = add(root, f"{M}FreeBusyResponseArray")
    for node in mailboxes:
        holder.append(_response(call, node, window, interval, view, zone))
        call.records += 1
    return root


def _window(options: Element, zone: tzinfo) -> tuple[datetime, datetime]:
    window = required(options, "TimeWindow")
    moments = []
    for name in ("StartTime", "EndTime"):
        node = required(window, name)
        moment = parse_time(node.text, node)
        moments.append(calendar.to_utc(moment, zone))
    if moments[1] <= moments[0]:
        raise RequestFault("ErrorInvalidTimeInterval")
    if moments[1] - moments[0] > MAX_WINDOW:
        raise RequestFault("ErrorTimeIntervalTooBig")
    return moments[0], moments[1]


def _interval(options: Element) -> int:
    text = (text_of(options, "MergedFreeBusyIntervalInMinutes") or "30").strip()
    if not text.isdigit() or not 5 <= int(text) <= 1440:
        raise RequestFault(
            "ErrorInvalidMergedFreeBusyInterval", "The merged free/busy interval must be from 5 to 1440 minutes."
        )
    return int(text)


def _response(
    call: Call, node: Element, window: tuple[datetime, datetime], interval: int, view: str, zone: tzinfo
) -> Element:
    made = element(f"{M}FreeBusyResponse")
    message = add(made, f"{M}ResponseMessage")
    email = child(node, "Email")
    address = (text_of(email, "Address") or "").strip() if email is not None else ""
    mailbox = call.world.mailbox(address)
    if mailbox is None or mailbox.denied:
        code = "ErrorMailRecipientNotFound" if mailbox is None else "ErrorNoFreeBusyAccess"
        text = (
            f"Unable to resolve e-mail address {address} to an Active Directory object."
            if mailbox is None
            else EwsError(code).message
        )
        message.set("ResponseClass", "Error")
        for name, value in (("MessageText", text), ("ResponseCode", code), ("DescriptiveLinkKey", "0")):
            add(message, f"{M}{name}", clean(value))
        add(add(made, f"{M}FreeBusyView"), f"{T}FreeBusyViewType", "None")
        return made
    message.set("ResponseClass", "Success")
    add(message, f"{M}ResponseCode", "NoError")
    made.append(_view(call, mailbox, window, interval, _allowed(call, mailbox, view), zone))
    return made


def _allowed(call: Call, mailbox: Mailbox, view: str) -> str:
    """The most detailed view that the caller may have: everybody sees free/busy, readers see details."""
    if not view.startswith("Detailed"):
        return view
    try:
        call.check(mailbox, folder=call.world.folder(mailbox, "calendar"))
    except EwsError:
        return view.replace("Detailed", "FreeBusy")
    return view


def _view(
    call: Call, mailbox: Mailbox, window: tuple[datetime, datetime], interval: int, view: str, zone: tzinfo
) -> Element:
    start, end = window
    found = [
        item
        for item in calendar.view(call.world.folder(mailbox, "calendar"), start, end)
        if item.get("calendar:End") > start
    ]
    made = element(f"{M}FreeBusyView")
    add(made, f"{T}FreeBusyViewType", view)
    if view.endswith("Merged") or view == "MergedOnly":
        add(made, f"{T}MergedFreeBusy", merged(found, start, end, interval))
    if view != "MergedOnly" and found:
        events = add(made, f"{T}CalendarEventArray")
        for item in found:
            events.append(_event(call, item, zone, detailed=view.startswith("Detailed")))
    hours = add(made, f"{T}WorkingHours")
    hours.append(serializable(mailbox.zone, start.year))
    period = add(add(hours, f"{T}WorkingPeriodArray"), f"{T}WorkingPeriod")
    add(period, f"{T}DayOfWeek", " ".join(mailbox.work_days))
    add(period, f"{T}StartTimeInMinutes", str(mailbox.work_hours[0]))
    add(period, f"{T}EndTimeInMinutes", str(mailbox.work_hours[1]))
    return made


def merged(items: Iterable[Item], start: datetime, end: datetime, interval: int) -> str:
    """One digit per interval, the strongest status in it: free, tentative, busy, away, elsewhere or no data (0-4)."""
    step = timedelta(minutes=interval)
    slots = [0] * -(-(end - start) // step)
    for item in items:
        digit = DIGITS[item.get("calendar:LegacyFreeBusyStatus") or "Busy"]
        low = max((item.get("calendar:Start") - start) // step, 0)
        high = min(-((start - item.get("calendar:End")) // step), len(slots))
        for slot in range(low, max(high, low)):
            slots[slot] = max(slots[slot], digit)
    return "".join(map(str, slots))


def _event(call: Call, item: Item, zone: tzinfo, *, detailed: bool) -> Element:
    node = element(f"{T}CalendarEvent")
    add(node, f"{T}StartTime", _local(item.get("calendar:Start"), zone))
    add(node, f"{T}EndTime", _local(item.get("calendar:End"), zone))
    add(node, f"{T}BusyType", item.get("calendar:LegacyFreeBusyStatus") or "Busy")
    if not detailed:
        return node
    private = item.get("item:Sensitivity") in ("Private", "Confidential", "Personal")
    hidden = private and (call.mailbox is None or call.mailbox.number != call.world.folders[item.folder].mailbox_number)
    details = add(node, f"{T}CalendarEventDetails")
    if not hidden:
        add(details, f"{T}ID", call.world.item_id(item))
        add(details, f"{T}Subject", clean(item.get("item:Subject") or ""))
        add(details, f"{T}Location", clean(item.get("calendar:Location") or ""))
    kind = calendar.item_type(item)
    for name, value in (
        ("IsMeeting", bool(item.get("calendar:RequiredAttendees") or item.get("calendar:IsMeeting"))),
        ("IsRecurring", kind in ("Occurrence", "Exception")),
        ("IsException", kind == "Exception"),
        ("IsReminderSet", bool(item.get("item:ReminderIsSet"))),
        ("IsPrivate", private),
    ):
        add(details, f"{T}{name}", boolean(value))
    return node


def _local(moment: datetime, zone: tzinfo) -> str:
    """A time in the zone of the request, with its offset."""
    shifted = moment.astimezone(UTC).replace(tzinfo=None)
    offset = zone.utcoffset(shifted) if isinstance(zone, AvailabilityZone) else moment.astimezone(zone).utcoffset()
    offset = offset or timedelta(0)
    if isinstance(zone, AvailabilityZone):
        offset = zone.utcoffset(shifted + offset)
    minutes = int(offset.total_seconds() // 60)
    sign = "-" if minutes < 0 else "+"
    return (shifted + offset).strftime("%Y-%m-%dT%H:%M:%S") + f"{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


# -- automatic replies ------------------------------------------------------------------------------------------------


def _oof_mailbox(call: Call, request: Element, *, write: bool) -> Mailbox:
    node = required(request, "Mailbox")
    mailbox = call.world.mailbox((text_of(node, "Address") or "").strip())
    if mailbox is None:
        raise EwsError("ErrorMailRecipientNotFound")
    return call.check(mailbox, write=write)


def get_user_oof_settings(call: Call, request: Element) -> Element:
    """GetUserOofSettings."""
    root = message_root(f"{M}GetUserOofSettingsResponse")
    message = add(root, f"{M}ResponseMessage")
    try:
        oof = _oof_mailbox(call, request, write=False).oof
    except EwsError as error:
        return _refused(root, message, error)
    message.set("ResponseClass", "Success")
    add(message, f"{M}ResponseCode", "NoError")
    node = add(root, f"{T}OofSettings")
    add(node, f"{T}OofState", oof.state)
    add(node, f"{T}ExternalAudience", oof.audience)
    today = call.now.replace(minute=0, second=0)
    duration = add(node, f"{T}Duration")
    add(duration, f"{T}StartTime", wire_time(oof.start or today))
    add(duration, f"{T}EndTime", wire_time(oof.end or today + timedelta(days=1)))
    for name, text in (("InternalReply", oof.internal), ("ExternalReply", oof.external)):
        add(add(node, f"{T}{name}"), f"{T}Message", clean(text))
    add(root, f"{M}AllowExternalOof", "All")
    return root


def _refused(root: Element, message: Element, error: EwsError) -> Element:
    if isinstance(error, RequestFault):
        raise error
    message.set("ResponseClass", "Error")
    for name, text in (("MessageText", error.message), ("ResponseCode", error.code), ("DescriptiveLinkKey", "0")):
        add(message, f"{M}{name}", clean(text))
    return root


def set_user_oof_settings(call: Call, request: Element) -> Element:
    """SetUserOofSettings."""
    root = message_root(f"{M}SetUserOofSettingsResponse")
    message = add(root, f"{M}ResponseMessage")
    try:
        mailbox = _oof_mailbox(call, request, write=True)
        _set_oof(mailbox, required(request, "UserOofSettings"))
    except EwsError as error:
        return _refused(root, message, error)
    message.set("ResponseClass", "Success")
    add(message, f"{M}ResponseCode", "NoError")
    return root


def _set_oof(mailbox: Mailbox, node: Element) -> None:
    state = (text_of(node, "OofState") or "").strip()
    audience = (text_of(node, "ExternalAudience") or "").strip()
    if state not in ("Disabled", "Enabled", "Scheduled") or audience not in ("None", "Known", "All"):
        raise schema_violation("The element 'UserOofSettings' has an invalid state or audience.", node.sourceline)
    duration = child(node, "Duration")
    times: dict[str, Any] = {}
    for name in ("StartTime", "EndTime"):
        part = child(duration, name) if duration is not None else None
        if part is not None:
            times[name] = calendar.to_utc(parse_time(part.text, part), UTC)
    if state == "Scheduled" and (len(times) < 2 or times["EndTime"] <= times["StartTime"]):
        raise EwsError("ErrorInvalidScheduledOofDuration", "The scheduled duration of the automatic reply is invalid.")
    oof = mailbox.oof
    oof.state, oof.audience = state, audience
    oof.start, oof.end = times.get("StartTime"), times.get("EndTime")
    for name, attribute in (("InternalReply", "internal"), ("ExternalReply", "external")):
        part = child(node, name)
        setattr(oof, attribute, (text_of(part, "Message") or "") if part is not None else "")
