"""The workspace: the log of field changes and everything that follows from it. See `store` and `merge`."""

from sidefeed.workspace.merge import DELETED, Change, Head, RecordState
from sidefeed.workspace.model import ClockAhead, Draft, LeaseHeld, Link, StoreError
from sidefeed.workspace.store import Store
from sidefeed.workspace.transaction import Transaction

__all__ = ["DELETED", "Change", "ClockAhead", "Draft", "Head", "LeaseHeld", "Link", "RecordState", "Store",
           "StoreError", "Transaction"]
