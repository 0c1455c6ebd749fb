"""The practice Domino: mail files on a server, and Domino Access Services' calendar service in front of them."""

from .server import DominoServer

__all__ = ["DominoServer"]
