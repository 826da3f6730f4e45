"""Who ordered it: origin, root and owner behind one envelope, from sealed bytes, charter and roster. Pure.

Each check that fails is a sentence. What could not be checked, because only another node has it, is said as such and
never counted as proven.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from netsky.envelope.address import parse_address
from netsky.envelope.batch import ZERO_MESH, Statement, decode_batch, leaf_of_hash, leaves, verify_batch
from netsky.envelope.fields import Header
from netsky.envelope.file import Proof
from netsky.envelope.invalid import Invalid
from netsky.envelope.wire import decode_header
from netsky.mesh.charter import Charter
from netsky.mesh.roster import ROOT_NAME, Member, Roster
from netsky.mesh.route import Route, open_route
from netsky.node.cli.sealed import Cause, NotProven, ProofBytes, Sealed
from netsky.node.cli.text import length, local_time, visible
from netsky.node.cli.trust import Trust
from netsky.node.identity import fingerprint
from netsky.node.owner.asks import answered_by, late_in

_TAKEN_BY = {
    "operator": "by operator.sock, so from a shell of the account that runs netsky0",
    "actor": "by the socket of the actor `owner`",
    "outbox": "from a file in the outbox of `owner`",
    "node": "from the daemon of netsky0 itself",
}
"""How netsky0 took words for the owner's. It is a record there; no signature says so."""


@dataclass(slots=True)
class Ordered:
    """What is proven, one line each, and the same for programs."""

    lines: list[str] = field(default_factory=list)
    route: dict[str, Any] | None = None
    chain: list[dict[str, Any]] = field(default_factory=list)
    owner: bool = False
    """The chain reaches words that netsky0 sealed as the owner's."""
    answered: str | None = None
    """Of an answer for the owner: who gave it, `owner` or `deadline`."""


def who_ordered(proof: ProofBytes, sealed: Sealed, trust: Trust, said: Proof | None) -> Ordered:
    """`said` is what the file says of its route. Raises NotProven."""
    header, charter = sealed.header, trust.charter
    found = Ordered()
    if charter is None:
        _without_mesh(found, sealed)
        return found
    if trust.roster is None:
        raise NotProven("there is no roster here to look its origin up in")
    roster = trust.roster
    origin = _origin(sealed.batch.mesh, header, charter, roster)
    found.lines.append(f"{_who(origin)} sealed it: {_way(header, origin, roster)}, nothing changed since")
    found.lines.append(f"{origin.name} is on the roster in force here, version {roster.version}, and not revoked")
    _routed(found, proof, sealed, trust, said)
    found.lines.append(
        f"{ROOT_NAME} is the root by the charter of reign {charter.reign}, sealed by the owner key "
        f"{fingerprint(charter.owner_key)}"
    )
    if _is_owner(header, charter) and header.in_reply_to is not None:
        found.answered = answered_by(header.id)
        if found.answered == "deadline" and (late := late_in(sealed.body.data, header.ts)):
            found.lines.append(f"that answer is {length(late / 10**9)} late: {ROOT_NAME} was down or asleep until then")
    _chain(found, proof, header, trust)
    return found


def _without_mesh(found: Ordered, sealed: Sealed) -> None:
    if any(sealed.batch.mesh):
        raise NotProven(f"it was sealed in the mesh {sealed.batch.mesh.hex()}, and there is no charter here")
    found.lines.append(f"the node with the key {fingerprint(sealed.header.origin)} sealed it, nothing changed since")
    found.lines.append("not proven: whose node that is; this home belongs to no mesh")


def _origin(mesh: bytes, header: Header, charter: Charter, roster: Roster) -> Member:
    """Who sealed it, if that is a member that may speak by the name it used."""
    if mesh == ZERO_MESH:
        raise NotProven("it was sealed by a node that belonged to no mesh then: nothing says whose it was")
    if mesh != charter.mesh:
        raise NotProven(f"it was sealed in the mesh {mesh.hex()}, and the charter here is of {charter.mesh.hex()}")
    member = roster.by_key.get(header.origin)
    if member is None:
        raise NotProven(
            f"the roster here, version {roster.version}, has no node with the key {fingerprint(header.origin)} "
            "that sealed it"
        )
    if member.revoked:
        raise NotProven(f"its origin {member.name} was revoked at {local_time(member.revoked)}")
    sender = parse_address(header.sender)
    if sender.node not in {None, member.name}:
        raise NotProven(f"it speaks as {header.sender}, and {member.name} sealed it")
    if sender.actor == "owner" and header.origin != charter.root_key:
        raise NotProven(f"it speaks as the owner, and {member.name} sealed it: only {ROOT_NAME} speaks with the owner")
    return member


def _routed(found: Ordered, proof: ProofBytes, sealed: Sealed, trust: Trust, said: Proof | None) -> None:
    header, charter, roster = sealed.header, trust.charter, trust.roster
    assert charter is not None
    assert roster is not None
    there = _name(header.destination, roster)
    if trust.me is not None and trust.me not in {header.origin, header.destination}:
        raise NotProven(f"it is for {there}, not for this node")
    if header.origin == header.destination:
        found.lines.append(f"it never left {there}, so it needs no route")
    elif header.destination == charter.root_key:
        found.lines.append(f"it came to {there} itself, so it needs no route")
    elif trust.me == header.origin:
        found.lines.append(f"not known here: its route; {there} has it: netsky channel verify {header.id}")
    else:
        route = _route(proof, sealed, charter, there)
        _same_number(route, sealed, proof, said)
        found.route = {
            "reign": route.reign,
            "lane": route.lane,
            "life": route.life,
            "roster": route.roster,
            "number": _number(route, sealed),
        }
        decided = f"by roster version {route.roster}"
        if route.roster != roster.version:
            decided += f" (here version {roster.version} is in force)"
        found.lines.append(
            f"{ROOT_NAME} let it pass to {there}{' (this node)' if trust.me else ''}: reign {route.reign}, "
            f"{route.lane} lane, life {route.life}, number {_number(route, sealed)}, {decided}"
        )


def _route(proof: ProofBytes, sealed: Sealed, charter: Charter, there: str) -> Route:
    """The root's seal over the batch in which this envelope stands, for its destination."""
    if proof.route is None:
        raise NotProven(f"there is no route: nothing shows that {ROOT_NAME} let it pass")
    try:
        route = open_route(proof.route, charter.root_key, charter.mesh)
    except Invalid as wrong:
        raise NotProven(f"its route does not hold: {wrong.sentence}") from None
    if route.reign != charter.reign:
        raise NotProven(f"its route is of reign {route.reign}, and the charter here of reign {charter.reign}")
    if route.destination != sealed.header.destination:
        raise NotProven(f"its route is for the key {fingerprint(route.destination)}, not for {there}")
    if route.leaves != sha256(b"".join(leaves(sealed.batch))).digest():
        raise NotProven("its route is over another batch than the one in which it stands")
    if _position(sealed) not in route.positions:
        raise NotProven("its route lets others of its batch pass, and not this one")
    return route


def _same_number(route: Route, sealed: Sealed, proof: ProofBytes, said: Proof | None) -> None:
    """The number under which it is filed must be the one that the route gives."""
    given = (route.reign, route.life, _number(route, sealed))
    if said is not None and (said.reign, said.life, said.number) != given:
        raise NotProven("the file names another reign, life or number than the route gives it")
    if (proof.life, proof.number) != given[1:]:
        raise NotProven("the node filed it under another life or number than the route gives it")


def _position(sealed: Sealed) -> int:
    return next(at for at, one in enumerate(leaves(sealed.batch)) if one == sealed.leaf)


def _number(route: Route, sealed: Sealed) -> int:
    return route.first + route.positions.index(_position(sealed))


# What it follows from.


def _chain(found: Ordered, proof: ProofBytes, header: Header, trust: Trust) -> None:
    charter, roster = trust.charter, trust.roster
    assert charter is not None
    assert roster is not None
    child, via = header, proof.via
    _reached_owner(found, child, via, trust)
    for cause in proof.causes:
        wanted = child.parent or child.in_reply_to
        said = "it follows from" if child.parent else "it answers"
        try:
            above, member = _cause(cause, charter, roster)
        except NotProven as why:
            raise NotProven(f"{said} {visible(cause.id)}, and of that: {why}") from None
        if above.id != wanted:
            raise NotProven(f"{said} {wanted}, and {visible(above.id)} was shown instead")
        found.chain.append({"id": above.id, "from": above.sender, "to": above.to, "origin": above.origin.hex()})
        found.lines.append(
            f"{said} {above.id}: {above.kind or 'text'}, {_way(above, member, roster)}, sealed by {member.name}"
        )
        if not _got(child, above):
            found.lines.append(f"not proven: that it does; {above.id} was not for {child.sender}, who says so")
            return
        child, via = above, cause.via
        _reached_owner(found, child, via, trust)
    wanted = child.parent or child.in_reply_to
    if _is_owner(child, charter):
        return
    if wanted is not None:
        where = f"this node does not have it any more, or {child.sender} never got it"
        if trust.me != child.origin:
            where = f"on {_name(child.origin, roster)}: netsky channel verify {wanted}"
        found.lines.append(f"not known here: {wanted}, from which that follows; {where}")
    else:
        found.lines.append(f"it begins with {child.sender}: nothing is named that it follows from")


def _cause(cause: Cause, charter: Charter, roster: Roster) -> tuple[Header, Member]:
    try:
        batch, header = decode_batch(cause.batch), decode_header(cause.header)
    except Invalid as wrong:
        raise NotProven(f"its sealed bytes cannot be read: {wrong.sentence}") from None
    if batch.type != "envelope" or batch.key != header.origin:
        raise NotProven("another key sealed it than it names")
    if (sentence := verify_batch(batch)) is not None:
        raise NotProven(f"its seal does not hold: {sentence}")
    leaf = leaf_of_hash(batch.type, batch.mesh, cause.header, cause.body_hash)
    if not any(one == leaf for one in batch.statements if not isinstance(one, Statement)):
        raise NotProven("its seal holds, but over other envelopes")
    return header, _origin(batch.mesh, header, charter, roster)


def _got(child: Header, above: Header) -> bool:
    """Who follows from an envelope must have got it. What is answered back is of the same two the other way."""
    same_actor = parse_address(above.to).actor == parse_address(child.sender).actor
    return above.destination == child.origin and same_actor


def _is_owner(header: Header, charter: Charter) -> bool:
    return header.origin == charter.root_key and parse_address(header.sender).actor == "owner"


def _reached_owner(found: Ordered, header: Header, via: str, trust: Trust) -> None:
    """Whose words these are, where netsky0 sealed them for the owner. What it answered at a deadline has an id that
    says so, so that the header alone is enough to tell."""
    assert trust.charter is not None
    if not _is_owner(header, trust.charter):
        return
    if answered_by(header.id) == "deadline":
        found.lines.append(
            f"not the owner's words: nobody had answered at the deadline of {header.in_reply_to}, and {ROOT_NAME} "
            f"answered for the owner what was said to happen then, at {local_time(header.ts)}"
        )
        return
    found.owner = True
    found.lines += _owners(header, via, known_here=trust.me == header.origin or via != "link")


def _owners(header: Header, via: str, *, known_here: bool) -> list[str]:
    lines = [f"these are the owner's words: {ROOT_NAME} sealed {header.id} as such"]
    if known_here and via in _TAKEN_BY:
        lines.append(f"{ROOT_NAME} took them for the owner's {_TAKEN_BY[via]} (its own record: no signature says so)")
    else:
        lines.append(
            f"not known here: how {ROOT_NAME} took them for the owner's; there: netsky channel verify {header.id}"
        )
    return lines


# Words.


def _who(member: Member) -> str:
    return f"{member.name} ({visible(member.label)}, key {fingerprint(member.key)})"


def _name(key: bytes, roster: Roster) -> str:
    member = roster.by_key.get(key)
    return fingerprint(key) if member is None else member.name


def _way(header: Header, origin: Member, roster: Roster) -> str:
    """From whom to whom, with their nodes."""
    sender, to = parse_address(header.sender), parse_address(header.to)
    return f"{sender.actor}@{origin.name} to {to.actor}@{_name(header.destination, roster)}"
