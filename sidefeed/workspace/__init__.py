"""The workspace: the log of field changes and everything that follows from it. See `store` and `merge`."""

from sidefeed.workspace.merge import DELETED, Change, Head, RecordState
from sidefeed.workspace.store import ClockAhead, Draft, LeaseHeld, Link, Store, StoreError, Transaction

__all__ = ["DELETED", "Change", "ClockAhead", "Draft", "Head", "LeaseHeld", "Link", "RecordState", "Store",
           "StoreError", "Transaction"]
