"""What comes before what: circles, and tickets that may write the same paths at the same time. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

OVERLAPS_SHOWN = 20
PAIRS_MAX = 100_000
"""Looked at: some tenths of a second, in which the node does nothing else."""


def cycle(after: Mapping[str, Sequence[str]]) -> list[str]:
    """One circle, if there is any."""
    done: set[str] = set()
    for start in after:
        path: list[str] = []
        on_path: set[str] = set()
        stack: list[tuple[str, int]] = [(start, 0)]
        while stack:
            name, at = stack.pop()
            if at == 0:
                if name in done:
                    continue
                if name in on_path:
                    return path[path.index(name) :]
                path.append(name)
                on_path.add(name)
            if at < len(after[name]):
                stack += [(name, at + 1), (after[name][at], 0)]
            else:
                done.add(path.pop())
                on_path.discard(name)
    return []


def overlaps(tickets: Mapping[str, tuple[Sequence[str], Sequence[str]]]) -> list[str]:
    """Sentences about pairs that may write the same and of which none comes before the other. `tickets` gives of each
    what it comes after and what it writes; there is no circle among them."""
    writers = {name: paths for name, (_, paths) in tickets.items() if paths}
    if not writers:
        return []
    bits = {name: 1 << number for number, name in enumerate(tickets)}
    before = _all_before(tickets, bits)
    found: list[str] = []
    for looked, (one, other) in enumerate(_pairs_that_touch(writers)):
        if looked == PAIRS_MAX:
            return [*found, f"more than {PAIRS_MAX:,} pairs of tickets touch each other's paths; no more were compared"]
        if before[other] & bits[one] or before[one] & bits[other]:
            continue
        both = next(a if _covers(b, a) else b for a in writers[one] for b in writers[other] if _touch(a, b))
        found.append(f"{one} and {other} may both write {both}, and neither comes after the other")
        if len(found) == OVERLAPS_SHOWN:
            break
    return found


def _all_before(tickets: Mapping[str, tuple[Sequence[str], Sequence[str]]], bits: Mapping[str, int]) -> dict[str, int]:
    """Of each, a set of bits: all that has to end before it."""
    known: dict[str, int] = {}
    for start in tickets:
        stack = [start]
        while stack:
            name = stack[-1]
            missing = [one for one in tickets[name][0] if one not in known]
            if missing and name not in known:
                stack += missing
                continue
            stack.pop()
            known[name] = 0
            for one in tickets[name][0]:
                known[name] |= known[one] | bits[one]
    return known


def _pairs_that_touch(writers: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    """Each pair once, found by the folders that their paths are in."""
    at: dict[str, list[str]] = defaultdict(list)
    order = {name: number for number, name in enumerate(writers)}
    for name, paths in writers.items():
        for path in {path.rstrip("/") for path in paths}:
            at[path].append(name)
    seen: set[tuple[str, str]] = set()
    for name, paths in writers.items():
        for path in paths:
            parts = path.rstrip("/").split("/")
            for depth in range(1, len(parts) + 1):
                for other in at.get("/".join(parts[:depth]), ()):
                    pair = (other, name) if order[other] < order[name] else (name, other)
                    if other != name and pair not in seen and any(
                        _touch(a, b) for a in writers[pair[0]] for b in writers[pair[1]]
                    ):  # fmt: skip
                        seen.add(pair)
                        yield pair


def _touch(a: str, b: str) -> bool:
    return _covers(a, b) or _covers(b, a)


def _covers(outer: str, inner: str) -> bool:
    folder = outer.rstrip("/")
    return inner.rstrip("/") == folder or inner.startswith(folder + "/")
