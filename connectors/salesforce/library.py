"""simple-salesforce, without what it imports for calls that Sidefeed never makes.

Importing the library also imports a SOAP client for its Metadata API (zeep, and with it httpx, lxml and rich) and PyJWT
with cryptography for its own logins: a third of the CPU of a sync that finds nothing to do. A stand-in takes their
place while the library is imported, and imports them when they are first used; nothing of the library is lost.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


def _metadata_api(*args: Any, **options: Any) -> Any:
    return import_module("simple_salesforce.metadata").SfdcMetadataApi(*args, **options)


def _stand_ins() -> dict[str, ModuleType]:
    metadata, jwt = ModuleType("simple_salesforce.metadata"), ModuleType("jwt")
    vars(metadata)["SfdcMetadataApi"] = _metadata_api
    vars(jwt)["__getattr__"] = lambda name: getattr(import_module("jwt"), name)
    return {module.__name__: module for module in (metadata, jwt) if module.__name__ not in sys.modules}


_put = {} if "simple_salesforce" in sys.modules else _stand_ins()
sys.modules.update(_put)
try:
    from simple_salesforce import Salesforce
    from simple_salesforce.exceptions import SalesforceError
finally:
    for _name in _put:
        del sys.modules[_name]

__all__ = ["Salesforce", "SalesforceError"]
