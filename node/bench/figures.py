"""On which machine a figure was seen, and how figures are printed: one table, one JSON form."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    key: str  # stable, for programs
    name: str
    value: float
    unit: str
    wanted: str = ""  # the floor or ceiling that the project promises, if any
    note: str = ""


def machine(folder: str) -> dict[str, str]:
    """What a reader needs to compare this with another run."""
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "file system": f"{_file_system(folder)} at {folder}",
    }


def print_figures(title: str, where: dict[str, str], figures: list[Figure]) -> None:
    print(title)
    for name, value in where.items():
        print(f"  {name + ':':<13} {value}")
    width = max(len(figure.name) for figure in figures)
    for figure in figures:
        wanted = f"  (wanted {figure.wanted})" if figure.wanted else ""
        note = f"  {figure.note}" if figure.note else ""
        print(f"  {figure.name:<{width}}  {_number(figure.value):>12} {figure.unit:<12}{wanted}{note}")
    sys.stdout.flush()


def as_data(where: dict[str, str], figures: list[Figure]) -> dict[str, object]:
    return {"machine": where, "figures": [asdict(figure) for figure in figures]}


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _file_system(folder: str) -> str:
    """The type of the file system under a folder, from the longest mount point above it."""
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return "unknown file system"
    real = os.path.realpath(folder)
    above = [(point, kind) for point, kind in mounts if real == point or real.startswith(point.rstrip("/") + "/")]
    return max(above, key=lambda mount: len(mount[0]))[1] if above else "unknown file system"
