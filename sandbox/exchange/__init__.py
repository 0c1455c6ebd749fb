"""The practice Exchange server."""

from .server import ExchangeServer

__all__ = ["ExchangeServer"]
