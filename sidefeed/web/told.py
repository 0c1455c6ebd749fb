"""What each step of a bridge and of a waterfall means, in a few words under its name."""

from __future__ import annotations

BRIDGE_TOLD = {
    "only there": "not a deal here yet, or deleted here",
    "only here": "the system holds no such deal",
    "duplicates": "further copies there; a deal counts once",
    "stage map": "another stage there",
    "category": "another category there",
    "amount": "another amount there, by rule or by decision",
    "currency": "another currency there",
    "date or zone": "another close date there",
    "owner": "another owner there",
    "stale copy": "newer here, and never written there",
    "pending write": "newer here; the next sync writes it there",
    "conflict": "people disagree; ours counts until they decide",
}

MOVES_TOLD = {
    "created": "new since then",
    "reopened": "was decided, and is open again",
    "owner in": "came from people who do not count here",
    "owner out": "went to people who do not count here",
    "pulled in": "its close date came forward into the period",
    "pulled out": "its close date came forward out of the period",
    "pushed in": "its close date went back into the period",
    "pushed out": "its close date went back out of the period",
    "category in": "somebody now commits to it",
    "category out": "nobody commits to it any more",
    "amount up": "of deals that count on both days, or came in",
    "amount down": "of deals that count on both days, or came in",
    "currency": "now in another currency",
    "rate": "the same amount at another rate",
    "won": "decided, and won",
    "lost": "decided, and lost",
    "deleted": "not there any more, or a part of another",
}
