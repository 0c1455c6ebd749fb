"""The audit trail: what is sealed in a chain of hashes, how that is checked, handed out, and honestly redacted."""

from sidefeed.audit.chain import Head, seal

__all__ = ["Head", "seal"]
