"""The numbers of the code with their reasons, for `netsky help limits`: read from where they stand."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from importlib import resources
from typing import NamedTuple

from netsky.node.cli.text import size

PACKAGES = (
    "netsky.envelope",
    "netsky.mesh",
    "netsky.node",
    "netsky.node.db",
    "netsky.node.bus",
    "netsky.node.actors",
    "netsky.node.handoff",
    "netsky.node.membership",
    "netsky.node.schedule",
    "netsky.node.watch",
    "netsky.node.work.cell",
)


class Limit(NamedTuple):
    package: str
    name: str
    value: object
    reason: str


def limits() -> Iterator[Limit]:
    """Each constant of each `limits.py`. Several that stand together share the reason after the last."""
    for package in PACKAGES:
        module = importlib.import_module(f"{package}.limits")
        source = (resources.files(package) / "limits.py").read_text(encoding="utf-8")
        waiting: list[str] = []
        for statement in ast.parse(source).body[1:]:
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                    if not name.startswith("_"):
                        waiting.append(name)
                case ast.Expr(value=ast.Constant(value=str(reason))):
                    yield from (Limit(package, name, getattr(module, name), reason) for name in waiting)
                    waiting.clear()
                case _:
                    yield from (Limit(package, name, getattr(module, name), "") for name in waiting)
                    waiting.clear()
        yield from (Limit(package, name, getattr(module, name), "") for name in waiting)


def shown(limit: Limit) -> str:
    """`TEXT_BYTES_MAX` as 48 KiB, `SKEW_NS` as 5 m, `TRIES_MAX` as 5."""
    value = limit.value
    if not isinstance(value, int | float):
        return value.decode() if isinstance(value, bytes) else str(value)
    if "BYTES" in limit.name and value >= 1024:
        return size(int(value)).replace(".0", "")
    if limit.name.endswith("_KIB"):
        return size(int(value) * 1024).replace(".0", "")
    if "BYTES" in limit.name:
        return f"{value} bytes"
    if limit.name.endswith("_NS"):
        return _span(value / 10**9)
    if limit.name.endswith(("_MS", "_MS_MAX")):
        return _span(value / 1_000)
    if "SECONDS" in limit.name:
        return _span(float(value))
    return str(value)


def _span(seconds: float) -> str:
    """In the largest unit that needs no fraction; a day only from two on."""
    if seconds < 1:
        return f"{seconds * 1000:g} ms"
    for unit, length, least in (("d", 86_400, 2), ("h", 3_600, 1), ("min", 60, 1)):
        if seconds % length == 0 and seconds >= least * length:
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} s"


def page() -> str:
    """All limits as a section of the topic."""
    parts: list[str] = []
    package = ""
    for limit in limits():
        if limit.package != package:
            package = limit.package
            parts.append(f"\n## {package.removeprefix('netsky.').replace('.', '/')}\n")
        parts.append(f"| {limit.name} | {shown(limit)} | {' '.join(limit.reason.split())} |")
    return "\n".join(parts) + "\n"
