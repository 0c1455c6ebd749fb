"""Paths to handlers: `sobjects/{type}/{id}` with literal segments preferred over placeholders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import unquote

Handler: TypeAlias = Callable[..., Any]


@dataclass
class _Node:
    children: dict[str, _Node] = field(default_factory=dict)
    placeholder: _Node | None = None
    methods: dict[str, tuple[str, Handler]] = field(default_factory=dict)
    pattern: str = ""
    deep: bool = False


@dataclass(frozen=True)
class Match:
    """A resource that exists: its pattern, the placeholder values, and the handler (None: method not allowed)."""

    pattern: str
    values: tuple[str, ...]
    handler: Handler | None
    allowed: tuple[str, ...]


class Router:
    """A tree of path segments."""

    def __init__(self) -> None:
        self._root = _Node()

    def add(self, methods: str, pattern: str, handler: Handler, *, deep: bool = False) -> None:
        """Serve `pattern` for the methods (separated by spaces) with a handler; with `deep`, all below it too."""
        node = self._root
        for segment in pattern.split("/") if pattern else ():
            if segment.startswith("{"):
                node.placeholder = node.placeholder or _Node()
                node = node.placeholder
            else:
                node = node.children.setdefault(segment, _Node())
        node.pattern, node.deep = pattern, deep
        for method in methods.split():
            node.methods[method] = (pattern, handler)

    def match(self, method: str, path: str) -> Match | None:
        """The resource of a path relative to the version root, still encoded; trailing slashes do not matter."""
        segments = [unquote(part) for part in path.strip("/").split("/")] if path.strip("/") else []
        found = self._walk(self._root, segments, 0, ())
        if found is None:
            return None
        node, values = found
        pattern, handler = node.methods.get(method, (node.pattern, None))
        return Match(pattern, values, handler, tuple(node.methods))

    def _walk(
        self, node: _Node, segments: list[str], at: int, values: tuple[str, ...]
    ) -> tuple[_Node, tuple[str, ...]] | None:
        if at == len(segments):
            return (node, values) if node.methods else None
        literal = node.children.get(segments[at])
        if literal is not None:
            found = self._walk(literal, segments, at + 1, values)
            if found is not None:
                return found
        if node.placeholder is not None:
            found = self._walk(node.placeholder, segments, at + 1, (*values, segments[at]))
            if found is not None:
                return found
        return (node, values) if node.deep else None
