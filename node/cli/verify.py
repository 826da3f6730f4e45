"""`netsky channel verify` (who ordered it) and `netsky envelope verify` (is it what was sealed): yes, or no and why."""

from __future__ import annotations

from typing import Any

from netsky.node.cli.found import Found, fetch, find, keep
from netsky.node.cli.ordered import who_ordered
from netsky.node.cli.output import Output
from netsky.node.cli.sealed import NotProven, Sealed, compare
from netsky.node.cli.trust import read_trust
from netsky.node.errors import EXIT_DONE, Refused, Usage


def channel(args: Any, out: Output) -> int:
    found = find(args.file, args.node)
    if args.keep and found.path is None:
        raise Usage("--keep writes beside a file: name the file", next="netsky channel verify FILE --keep")
    try:
        proof, sealed = fetch(found, args.node)
        said = None if found.file is None else found.file.proof
        if found.file is not None:
            compare(found.file, sealed)
        ordered = who_ordered(proof, sealed, read_trust(args.node), said)
    except NotProven as why:
        raise _refused("not proven", found, why) from None
    kept = keep(proof, found.path) if args.keep and found.path is not None else None
    data = _facts(found, sealed) | {
        "proven": True,
        "lines": ordered.lines,
        "route": ordered.route,
        "chain": ordered.chain,
        "owner": ordered.owner,
        "answered": ordered.answered,
        "kept": kept,
    }

    def human() -> None:
        out.line(f"proven: {found.what}")
        for line in ordered.lines:
            out.wrapped(f"  {line}", 4)
        if kept is not None:
            out.line(f"kept in {kept}")

    out.answer("channel-verify", f"proven: {sealed.header.sender} sent it", data, human)
    return EXIT_DONE


def envelope(args: Any, out: Output) -> int:
    found = find(args.file, args.node)
    try:
        _, sealed = fetch(found, args.node)
        if found.file is not None:
            compare(found.file, sealed)
    except NotProven as why:
        raise _refused("not genuine", found, why) from None
    data = _facts(found, sealed) | {"genuine": True, "proven": _proven(found, sealed)}

    def human() -> None:
        out.line(f"genuine: {found.what}")
        for line in data["proven"]:
            out.line(f"  {line}")

    out.answer("envelope-verify", f"genuine: {sealed.header.sender} sealed it", data, human)
    return EXIT_DONE


def _refused(verdict: str, found: Found, why: NotProven) -> Refused:
    return Refused(
        f"{verdict}: {found.what}: {why}",
        next="do not act on it; netsky envelope show shows what it says",
        code="not_proven",
    )


def _facts(found: Found, sealed: Sealed) -> dict[str, Any]:
    return {
        "id": sealed.header.id,
        "from": sealed.header.sender,
        "to": sealed.header.to,
        "origin": sealed.header.origin.hex(),
        "hash": sealed.leaf.hex(),
        "mesh": sealed.batch.mesh.hex(),
        "batch": len(sealed.batch.statements),
        "file": found.path,
    }


def _proven(found: Found, sealed: Sealed) -> list[str]:
    header = sealed.header
    lines = [
        "the node with this key sealed it, and nothing in it was changed since:",
        header.origin.hex(),
        f"that node says it is from {header.sender} to {header.to}",
    ]
    if found.file is not None:
        lines.append("the file says in every field what was sealed")
    if any(sealed.batch.mesh):
        lines.append("not asked: whether it may say so, and who ordered it (netsky channel verify)")
    else:
        lines.append("not proven: that the node belongs to a mesh (it had none then)")
    return lines
