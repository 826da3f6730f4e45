"""The arguments of one request, taken out by name and type. What is left over is an error, not a silent wish."""

from __future__ import annotations

from typing import Any

from netsky.node.errors import Usage


class Args:
    def __init__(self, verb: str, values: dict[str, Any]) -> None:
        self.verb = verb
        self._values = dict(values)

    def text(self, name: str) -> str:
        found = self.maybe_text(name)
        if found is None:
            raise self._wrong(name, "is needed")
        return found

    def maybe_text(self, name: str) -> str | None:
        found = self._values.pop(name, None)
        if found is not None and not isinstance(found, str):
            raise self._wrong(name, "must be text")
        return found

    def flag(self, name: str, default: bool = False) -> bool:
        found = self._values.pop(name, default)
        if not isinstance(found, bool):
            raise self._wrong(name, "must be true or false")
        return found

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        found = self._values.pop(name, None)
        if found is None:
            return default
        if isinstance(found, bool) or not isinstance(found, int) or not least <= found <= most:
            raise self._wrong(name, f"must be a whole number from {least} to {most}")
        return found

    def seconds(self, name: str, default: float, most: float) -> float:
        found = self._values.pop(name, None)
        if found is None:
            return default
        if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found <= most:
            raise self._wrong(name, f"must be seconds from 0 to {most:.0f}")
        return float(found)

    def texts(self, name: str, most: int, *, needed: bool = True) -> list[str]:
        found = self._values.pop(name, None)
        if found is None and not needed:
            return []
        if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
            raise self._wrong(name, "must be a list of texts")
        if len(found) > most:
            raise self._wrong(name, f"holds {len(found)} items, {most} at most")
        return list(found)

    def mapping(self, name: str) -> dict[str, Any] | None:
        found = self._values.pop(name, None)
        if found is not None and not isinstance(found, dict):
            raise self._wrong(name, "must be an object")
        return found

    def objects(self, name: str, most: int) -> list[dict[str, Any]] | None:
        found = self._values.pop(name, None)
        if found is None:
            return None
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise self._wrong(name, "must be a list of objects")
        if not 1 <= len(found) <= most:
            raise self._wrong(name, f"holds {len(found)} items, from 1 to {most} are taken")
        return list(found)

    def all(self) -> dict[str, Any]:
        """What is left, for whoever passes it on."""
        found, self._values = self._values, {}
        return found

    def nothing_else(self) -> None:
        """To be called when all that is known was taken."""
        for name in self._values:
            raise self._wrong(name, "is not an argument of this verb")

    def _wrong(self, name: str, rule: str) -> Usage:
        return Usage(f"{self.verb}: {name[:64]!r} {rule}", next="netsky help sockets", code="bad_argument")
