"""Who signed what: I10 and I11, recomputed from the bytes with nothing of the code under test.

A `proof` line names the bytes of one batch (its key) and holds them (its value, hex). An `accept` over a link names the
origin's batch as `value.seal` and, at a sibling, the root's route as `value.route`. Where the history does not show
every number of a stream, the number stands in `value.number` instead of `n`. A history without a single proof is not
judged here; in one that has them, what came by a link without proof is a violation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

import msgpack
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from netsky.node.lab.checker.books import Books, Node
from netsky.node.lab.checker.lines import Event
from netsky.node.lab.checker.story import Violation

LANES = {"reply": 1, "work": 2}
REVOKED = "its origin's key was not enrolled then, or revoked"
SKEW_NS = 300 * 10**9
Verify = Callable[[bytes, bytes, bytes], bool]  # key, signature, what was signed


@dataclass(frozen=True, slots=True)
class Proof:
    type: str
    key: str
    leaves: tuple[bytes, ...]
    header: bytes  # of its first statement
    valid: bool


def ed25519(key: bytes, signature: bytes, signed: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, signed)
    except InvalidSignature:
        return False
    return True


def open_proof(text: str, verify: Verify = ed25519) -> Proof | None:
    """None if these bytes are no batch."""
    try:
        version, type_, mesh, key, signature, statements = msgpack.unpackb(bytes.fromhex(text))
        head = b"\x00" + bytes([version]) + _prefixed(type_.encode()) + _prefixed(mesh)
        leaves = tuple(one if isinstance(one, bytes) else _leaf(head, *one) for one in statements)
        header = b"" if isinstance(statements[0], bytes) else statements[0][0]
        signed = b"netsky seal over a batch of statements\n" + bytes([version]) + _prefixed(type_.encode())
        signed += _prefixed(mesh) + len(leaves).to_bytes(4, "big") + sha256(b"".join(leaves)).digest()
        return Proof(type_, key.hex(), leaves, header, verify(key, signature, signed))
    except (ValueError, TypeError, AttributeError, IndexError, OverflowError, msgpack.UnpackException):
        return None


def _prefixed(piece: bytes) -> bytes:
    return len(piece).to_bytes(4, "big") + piece


def _leaf(head: bytes, header: bytes, body: bytes) -> bytes:
    return sha256(head + _prefixed(header) + sha256(body).digest()).digest()


class Proofs:
    def __init__(self, verify: Verify = ed25519) -> None:
        self._verify = verify
        self._known: dict[str, Proof | None] = {}
        self._lines: dict[str, int] = {}
        self._opened: dict[str, Proof | None] = {}  # by the bytes: the root shows each node the same
        self.without = 0  # accepts over a link that named none

    def enter(self, event: Event, line: int) -> None:
        data = event["value"]
        if data not in self._opened:
            self._opened[data] = open_proof(data, self._verify)
        self._known[event["key"]] = self._opened[data]
        self._lines[event["key"]] = line

    def line(self, event: Event, what: str) -> int:
        value = event.get("value")
        return self._lines.get(value[what], 0) if isinstance(value, dict) and what in value else 0

    def named(self, event: Event, what: str) -> Proof | None:
        value = event.get("value")
        return self._known.get(value[what]) if isinstance(value, dict) and what in value else None


def i10_origin(proofs: Proofs, books: Books, event: Event) -> Violation | None:
    if "link" not in event or _accepted_before(books, event):
        return None
    if not books.kinds["proof"]:
        proofs.without += 1
        return None
    proof = proofs.named(event, "seal")
    sentence = _origin_fault(proof, books, event)
    if sentence is None:
        return None
    said = books.node(event["node"]).trust_lines.get(proof.key, 0) if proof is not None and sentence == REVOKED else 0
    sentence = f"{event['node']} accepted {books.name(event)}: {sentence}"
    return Violation("I10", sentence, (proofs.line(event, "seal"), said, books.line))


def _accepted_before(books: Books, event: Event) -> bool:
    """What is delivered is judged where its node says that it accepted it; who looks into a database sees it before."""
    if event["ev"] != "deliver":
        return False
    if event.get("by") == "test" and "seal" not in (event.get("value") or {}):
        return True
    return any(kind == "accept" for _, kind, _ in books.envelope(event).decisions(event["node"]))


def _origin_fault(proof: Proof | None, books: Books, event: Event) -> str | None:
    if proof is None:
        return "there are no sealed bytes for it"
    if not proof.valid or proof.type != "envelope":
        return "the seal over it is not valid"
    if books.names.get(proof.key, proof.key) != books.names.get(event["origin"], event["origin"]):
        return "another key sealed it than its origin's"
    if bytes.fromhex(event["hash"]) not in proof.leaves:
        return "its leaf is not in the batch that was sealed"
    enrolled = books.node(event["node"]).enrolled
    if enrolled and not enrolled.get(proof.key, False):
        return REVOKED
    return None


def i11_routed_only(proofs: Proofs, books: Books, event: Event) -> Violation | None:
    node = books.node(event["node"])
    if "link" not in event or not books.kinds["proof"] or node.root[0] in {"", node.key}:
        return None
    if _accepted_before(books, event):
        return None
    seal, route = proofs.named(event, "seal"), proofs.named(event, "route")
    sentence = "there is no route for it" if route is None else _route_fault(route, seal, node, event)
    if sentence is None:
        return None
    by_batch = route is not None and _route_fault(route, None, node, event) != sentence
    lines = (node.root_line, proofs.line(event, "seal") if by_batch else 0, proofs.line(event, "route"), books.line)
    return Violation("I11", f"{event['node']} accepted {books.name(event)}: {sentence}", lines)


def _route_fault(route: Proof, seal: Proof | None, node: Node, event: Event) -> str | None:
    if not route.valid or route.type != "route" or route.key != node.root[0]:
        return "its route is not sealed by the root in force there"
    fields = msgpack.unpackb(route.header)
    reign, lane, life, first, destination, count, leaves, bitmap = fields[:8]
    if reign != node.root[1]:
        return f"its route is of reign {reign}, and {node.root[1]} is in force"
    if destination.hex() != node.key:
        return "its route is for another node"
    if (lane, life) != (LANES.get(event.get("ln", "")), event.get("epoch", 0)):
        return "its route is for another stream"
    if seal is None:
        return None  # I10 says so
    if leaves != sha256(b"".join(seal.leaves)).digest():
        return "its route is over another batch"
    return _position_fault(seal.leaves, int.from_bytes(bitmap, "big"), (first, count), event)


def _position_fault(leaves: Sequence[bytes], bitmap: int, numbers: tuple[int, int], event: Event) -> str | None:
    leaf = bytes.fromhex(event["hash"])
    if leaf not in leaves:
        return None  # I10 says so
    at = leaves.index(leaf)
    first, count = numbers
    if not bitmap >> at & 1 or bitmap.bit_count() != count:
        return "its route does not let it pass"
    number = event.get("n", event["value"].get("number"))
    if number != first + (bitmap & ((1 << at) - 1)).bit_count():
        return "its route gives it another number"
    if event["value"].get("expires", event["t"]) + SKEW_NS < event["t"]:
        return "it had expired"
    return None
