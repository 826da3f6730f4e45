"""The bytes of the README, made once without this code from the README alone. They change only with the version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from netsky.envelope.batch import (
    Statement,
    decode_batch,
    encode_batch,
    leaf,
    leaves,
    proof,
    seal,
    signing_bytes,
    verify_batch,
)
from netsky.envelope.fields import Attachment, Body, Header
from netsky.envelope.file import FileEnvelope, Proof, file_name, parse_file_name, read_file, to_file
from netsky.envelope.wire import decode_body, decode_header, encode_body, encode_header

VECTORS = Path(__file__).parent / "vectors"
FILE = next((VECTORS / "file").iterdir())


def cases(name: str) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads((VECTORS / name).read_text())
    return loaded


def header_of(fields: dict[str, Any]) -> Header:
    keys = {name: bytes.fromhex(fields[name]) for name in ("origin", "destination")}
    return Header(**{**fields, **keys})


def body_of(fields: dict[str, Any]) -> Body:
    data = None if fields["data"] is None else fields["data"].encode()
    attachments = (Attachment(name, size, bytes.fromhex(digest)) for name, size, digest in fields["attachments"])
    return Body(fields["text"], data, tuple(attachments))


@pytest.mark.parametrize("case", cases("header.json"))
def test_a_header_has_the_written_bytes(case: dict[str, Any]) -> None:
    header, data = header_of(case["fields"]), bytes.fromhex(case["bytes"])
    assert encode_header(header) == data
    assert decode_header(data) == header


@pytest.mark.parametrize("case", cases("body.json"))
def test_a_body_has_the_written_bytes(case: dict[str, Any]) -> None:
    body, data = body_of(case["fields"]), bytes.fromhex(case["bytes"])
    assert encode_body(body) == data
    assert decode_body(data) == body


@pytest.mark.parametrize("case", cases("leaf.json"))
def test_a_leaf_is_the_written_hash(case: dict[str, Any]) -> None:
    mesh, header, body = (bytes.fromhex(case[name]) for name in ("mesh", "header", "body"))
    assert leaf(case["type"], mesh, header, body).hex() == case["leaf"]


@pytest.mark.parametrize("case", cases("batch.json"))
def test_a_batch_has_the_written_bytes_and_signature(case: dict[str, Any]) -> None:
    secret = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(case["seed"]))
    key, mesh, data = (bytes.fromhex(case[name]) for name in ("key", "mesh", "bytes"))
    statements = [Statement(bytes.fromhex(header), bytes.fromhex(body)) for header, body in case["statements"]]
    batch = seal(secret.sign, key, case["type"], mesh, statements)
    hashes = leaves(batch)
    assert [one.hex() for one in hashes] == case["leaves"]
    assert signing_bytes(1, case["type"], mesh, hashes).hex() == case["signing_bytes"]
    assert batch.signature.hex() == case["signature"]
    read = decode_batch(data)
    assert verify_batch(read) is None
    assert encode_batch(read) == data
    assert leaves(read) == hashes
    left = [n for n in range(len(statements)) if n not in case["taken_out"]]
    if case["taken_out"]:
        assert read == proof(batch, left[0])
    else:
        assert read == batch


def test_a_file_has_the_written_bytes_and_name() -> None:
    header, body = header_of(cases("header.json")[0]["fields"]), body_of(cases("body.json")[0]["fields"])
    proven = Proof(header.origin, header.id, bytes.fromhex(cases("leaf.json")[0]["leaf"]), reign=3, life=2, number=7)
    assert to_file(header, body, proven) == FILE.read_bytes()
    envelope = read_file(FILE.read_bytes())
    assert isinstance(envelope, FileEnvelope)
    assert (envelope.sender, envelope.text, envelope.data, envelope.proof) == (
        header.sender, body.text, body.data, proven,
    )  # fmt: skip
    assert file_name(header.clock, 4321, 0xBEEF, 7, header.sender) == FILE.name
    assert parse_file_name(FILE.name) == (header.clock, 4321, 0xBEEF, 7, header.sender)
