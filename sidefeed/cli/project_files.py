"""What ``sidefeed init`` writes: settings, the mapping files to edit, and the Prefect deployments."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

SETTINGS = '''\
# A Sidefeed project. Every value can also come from the environment: SIDEFEED_SALESFORCE__SESSION_ID and so on; a key
# that ends in _file names a file that holds the value, so that no secret need stand here.

workspace = "workspace.db"        # or postgresql://user@host/database
mappings = "mappings"

[systems.salesforce]
auth = "jwt"                      # jwt | client_credentials | session
instance_url = "https://YOUR-DOMAIN.my.salesforce.com"
login_url = "https://login.salesforce.com"
client_id = ""
username = ""
private_key_file = "secrets/salesforce.pem"

[systems.hubspot]
access_token_file = "secrets/hubspot.token"

# [systems.microsoft365]          # Exchange Online, through Microsoft Graph; docs/guide.md has the permissions
# tenant_id = ""
# client_id = ""
# client_secret_file = "secrets/microsoft365.secret"
# mailboxes = ["ann.lee@example.com"]

[systems.exchange]                # Exchange Server on premises
endpoint = "https://mail.example.com/EWS/Exchange.asmx"
auth = "ntlm"                     # ntlm | basic | oauth
username = "EXAMPLE\\\\sidefeed"
password_file = "secrets/exchange.password"
mailboxes = []                    # ["ann.lee@example.com"]

# Who sees what of the pages of `sidefeed serve`: director | manager | rep | ops. Without any, whoever starts it.
# [people."ann.lee@example.com"]
# role = "rep"
# manager = "dana.cole@example.com"
# [web]
# person = "dana.cole@example.com"  # who sits at this machine; without it, `sidefeed serve` lets in a director

# [systems.caldav]                # or any server that speaks CalDAV and CardDAV
# url = "https://dav.example.com/"
# username = "sidefeed"
# password_file = "secrets/caldav.password"
# calendar = "/{user}/calendar/"
# mailboxes = ["ann.lee@example.com"]

# [systems.domino]                # HCL Domino, experimental
# url = "https://mail.example.com"
# username = "Sidefeed Service"
# password_file = "secrets/domino.password"
# database = "mail/{user}.nsf"
# mailboxes = ["ann.lee@example.com"]

# What may leave the calendars; people may always choose less (`sidefeed my-calendar`).
# [calendars]
# privacy = "full"                # none | busy | title | full
# blocked_domains = []

# The forecast. Leave currency out to keep each currency apart; docs/forecast.md has every key.
# [forecast]
# currency = "EUR"
# first_month = 1                 # the month that the fiscal year begins with
# weeks = "4-4-5"                 # leave it out for calendar months

# A run that would delete more than this stops before its first write.
# [guards.contact]
# count = 250
# share = 0.25
'''

IGNORED = "workspace.db*\nsecrets/\n"


def write_project(folder: Path, *, settings: str = SETTINGS, force: bool = False) -> list[Path]:
    """Write a new project; returns the files written. Raises FileExistsError, naming the file, before writing any."""
    wanted: dict[Path, str] = {folder / "sidefeed.toml": settings, folder / ".gitignore": IGNORED}
    for source in sorted(files("mappings").iterdir(), key=lambda one: one.name):
        if source.name.endswith((".yaml", ".json")):
            wanted[folder / "mappings" / source.name] = source.read_text(encoding="utf-8")
    for part in ("tests", "line_items"):
        for source in sorted((files("mappings") / part).iterdir(), key=lambda one: one.name):
            wanted[folder / "mappings" / part / source.name] = source.read_text(encoding="utf-8")
    deployments = files("flows") / "deployments.yaml"
    if deployments.is_file():
        wanted[folder / "prefect.yaml"] = deployments.read_text(encoding="utf-8")
    if not force:
        for path in wanted:
            if path.exists():
                raise FileExistsError(f"{path} exists already; nothing was written. Choose an empty folder, or --force "
                                      f"to replace the files.")
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(wanted)


def settings_text(
    systems: Mapping[str, Mapping[str, Any]], people: Mapping[str, Mapping[str, str]] | None = None, person: str = "",
    **top: str,
) -> str:
    """A ``sidefeed.toml`` from values."""
    import json

    def toml(value: Any) -> str:
        if isinstance(value, Mapping):
            return "{ " + ", ".join(f"{json.dumps(str(key))} = {toml(one)}" for key, one in value.items()) + " }"
        if isinstance(value, list | tuple):
            return "[" + ", ".join(toml(one) for one in value) + "]"
        return json.dumps(value)

    lines = [f"{key} = {toml(value)}" for key, value in top.items()]
    tables = {**{f"systems.{name}": values for name, values in systems.items()},
              **{f"people.{json.dumps(email)}": values for email, values in (people or {}).items()},
              **({"web": {"person": person}} if person else {})}
    for name, values in tables.items():
        lines += ["", f"[{name}]", *(f"{key} = {toml(value)}" for key, value in values.items())]
    return "\n".join(lines) + "\n"
