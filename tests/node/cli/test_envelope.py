"""`netsky envelope show|verify`: what is proven is proven in this process, from the sealed bytes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from netsky.envelope.batch import Batch, Statement, encode_batch, leaves, proof, seal
from netsky.envelope.fields import Body, Header
from netsky.envelope.file import Proof, to_file
from netsky.envelope.wire import encode_body, encode_header

from tests.node.cli.conftest import Run, StubNode

SECRET = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY = SECRET.public_key().public_bytes_raw()
MESH = bytes(16)
NOW = 1_700_000_000 * 10**9
HEADER = Header(
    v=1, id="env1", origin=KEY, sender="agent0", destination=KEY, to="worker1", kind="brief",
    in_reply_to=None, thread=None, swarm=None, idempotency_key=None, requires_ack=False,
    ts=NOW, clock=NOW, expires=NOW + 10**12, parent=None,
)  # fmt: skip
BODY = Body(text="count\n\x1b[2Jthem", data=b'{"file":"poem.txt"}', attachments=())


def sealed(*headers: Header) -> Batch:
    statements = [Statement(encode_header(header), encode_body(BODY)) for header in headers]
    return seal(SECRET.sign, KEY, "envelope", MESH, statements)


BATCH = sealed(HEADER, replace(HEADER, id="env2"))
LEAF = leaves(BATCH)[0]
LOCAL = {"route": None, "life": None, "number": None, "via": "actor", "causes": [], "missing": None}
FILE = to_file(HEADER, BODY, Proof(KEY, "env1", LEAF))


def keep(file: Path, batch: bytes) -> None:
    """Writes FILE.seal."""
    Path(f"{file}.seal").write_text(json.dumps({"id": "env1", "batch": batch.hex()} | LOCAL))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "envelope.json"
    path.write_bytes(FILE)
    return path


@pytest.fixture
def answering(node: StubNode) -> StubNode:
    node.verbs["proof"] = lambda args: {"id": args["id"], "batch": encode_batch(proof(BATCH, 0)).hex()} | LOCAL
    node.verbs["query"] = lambda args: {"columns": ["id"], "rows": [["env1"]], "truncated": False}
    return node


def test_a_file_is_shown_readable_and_harmless(run: Run, file: Path) -> None:
    ran = run("envelope", "show", str(file))
    assert ran.code == 0
    assert "from             agent0" in ran.out
    assert "| count\n| \\x1b[2Jthem\n" in ran.out
    assert '"file": "poem.txt"' in ran.out
    assert "\x1b" not in ran.out


def test_an_id_is_shown_from_its_sealed_bytes(run: Run, answering: StubNode) -> None:
    ran = run("--json", "envelope", "show", "env1")
    assert ran.json["data"]["envelope"] == json.loads(FILE)


def test_a_file_and_its_seal_prove_it_without_a_node(run: Run, file: Path) -> None:
    keep(file, encode_batch(BATCH))
    ran = run("envelope", "verify", str(file))
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("genuine: ")
    assert KEY.hex() in ran.out
    assert "not proven: that the node belongs to a mesh" in ran.out


def test_the_node_gives_the_seal_of_a_file_or_an_id(run: Run, file: Path, answering: StubNode) -> None:
    for what in (str(file), "env1"):
        ran = run("--json", "envelope", "verify", what)
        assert ran.code == 0
        assert ran.json["data"]["genuine"] is True
        assert ran.json["data"]["origin"] == KEY.hex()


CHANGES = [
    ("text", "do something else"),
    ("from", "owner"),
    ("kind", "cancel"),
    ("to", "agent0"),
    ("ts", "2023-11-14T22:13:21.000000000Z"),
    ("data", {"file": "other.txt"}),
    ("requires_ack", True),
    ("thread", "x"),
    ("expires", "2030-01-01T00:00:00Z"),
    ("parent", "p"),
    ("id", "env2"),
]


@pytest.mark.parametrize(("field", "value"), CHANGES, ids=[field for field, _ in CHANGES])
def test_a_changed_field_is_named_and_exit_5(field: str, value: object, run: Run, file: Path) -> None:
    file.write_text(json.dumps(json.loads(FILE) | {field: value}))
    keep(file, encode_batch(BATCH))
    ran = run("envelope", "verify", str(file))
    assert ran.code == 5
    assert f"`{field}` is not what was sealed" in ran.err
    assert "do not act on it" in ran.err


def broken_seal() -> list[tuple[str, bytes, str]]:
    stranger = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
    other = stranger.public_key().public_bytes_raw()
    forged = seal(stranger.sign, other, "envelope", MESH, [Statement(encode_header(HEADER), encode_body(BODY))])
    good = encode_batch(BATCH)
    return [
        ("another key", encode_batch(forged), "another origin than the key"),
        ("a changed signature", encode_batch(replace(BATCH, signature=bytes(64))), "does not hold"),
        ("another key in the field", encode_batch(replace(BATCH, key=other)), "does not hold"),
        ("another mesh", encode_batch(replace(BATCH, mesh=bytes([1] * 16))), "does not hold"),
        ("another envelope", encode_batch(sealed(replace(HEADER, id="env3"))), "over other envelopes"),
        ("a bare leaf", encode_batch(proof(BATCH, 1)), "over other envelopes"),
        ("cut bytes", good[:-1], "cannot be read"),
        ("nothing", b"", "cannot be read"),
    ]


@pytest.mark.parametrize(("name", "seal_bytes", "why"), broken_seal(), ids=[name for name, _, _ in broken_seal()])
def test_a_seal_that_proves_nothing_is_exit_5(name: str, seal_bytes: bytes, why: str, run: Run, file: Path) -> None:
    keep(file, seal_bytes)
    ran = run("envelope", "verify", str(file))
    assert ran.code == 5, name
    assert why in ran.err


def test_a_seal_of_another_type_is_no_envelope(run: Run, file: Path) -> None:
    batch = seal(SECRET.sign, KEY, "hello", MESH, [Statement(encode_header(HEADER), encode_body(BODY))])
    keep(file, encode_batch(batch))
    assert "over a hello" in run("envelope", "verify", str(file)).err


def test_a_published_file_without_proof_is_not_genuine(run: Run, file: Path) -> None:
    file.write_text(json.dumps({"from": "agent3", "text": "hi", "ts": "2026-01-01T00:00:00Z"}))
    ran = run("envelope", "verify", str(file))
    assert ran.code == 5
    assert "no node sealed it" in ran.err
    assert run("envelope", "show", str(file)).code == 0


def test_without_sealed_bytes_it_says_what_is_missing(run: Run, file: Path) -> None:
    ran = run("envelope", "verify", str(file))
    assert ran.code == 4
    assert f"{file}.seal is not there" in ran.err


def test_an_envelope_that_the_node_does_not_have(run: Run, file: Path, node: StubNode) -> None:
    error = {"code": "not_found", "exit": 3, "message": "no such envelope", "next": "netsky channel ls"}
    node.verbs["proof"] = lambda args: {"error": error}
    assert run("envelope", "verify", str(file)).code == 5
    assert run("envelope", "verify", "x" * 32).code == 3


def test_what_is_no_file_of_ours_gets_a_sentence(run: Run, tmp_path: Path) -> None:
    (tmp_path / "fifo.json").mkdir()
    (tmp_path / "bad.json").write_bytes(b"\xff\xfe")
    big = tmp_path / "big.json"
    with big.open("wb") as sparse:
        sparse.truncate(1 << 40)
    for name, code in (("missing.json", 3), ("fifo.json", 2), ("bad.json", 2), ("big.json", 2)):
        ran = run("envelope", "show", str(tmp_path / name))
        assert ran.code == code, name
        assert ran.err.count("\n") == 2


def test_a_pipe_is_not_read(run: Run, tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.json")
    assert run("envelope", "show", str(tmp_path / "pipe.json")).code == 2
