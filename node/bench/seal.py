"""How many envelopes a second one core seals and checks, beside one signature each."""

from __future__ import annotations

import argparse
import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from netsky.envelope.batch import Statement, decode_batch, encode_batch, seal, verify_batch
from netsky.envelope.fields import Body, Header
from netsky.envelope.limits import BATCH_MAX
from netsky.envelope.strict25519 import verify
from netsky.envelope.wire import decode_body, decode_header, encode_body, encode_header
from netsky.node.bench.figures import Figure, as_data, machine, print_figures
from netsky.node.cli.output import Output

BODY_BYTES = 1024
MESH = bytes(range(16))


SECONDS = 3


def bench(args: argparse.Namespace, out: Output) -> int:
    figures = measure(float(args.seconds or SECONDS))
    where = machine(os.getcwd())
    sealed = round(next(figure.value for figure in figures if figure.key == "sealed_per_s"))
    out.answer(
        "bench-seal",
        f"{sealed:,} envelopes/s sealed on one core",
        as_data(where, figures),
        lambda: print_figures("Seals of 1 KiB envelopes, one core, all checks on", where, figures),
    )
    return 0


def measure(seconds: float) -> list[Figure]:
    secret = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"bench").digest())
    key = secret.public_key().public_bytes_raw()
    statements = [_statement(key, number) for number in range(BATCH_MAX)]
    wire = encode_batch(seal(secret.sign, key, "envelope", MESH, statements))
    single = secret.sign(statements[0].body)

    def seal_one_batch() -> None:
        encode_batch(seal(secret.sign, key, "envelope", MESH, statements))

    def check_one_batch() -> None:
        batch = decode_batch(wire)
        assert verify_batch(batch, None) is None

    def check_and_read_one_batch() -> None:
        batch = decode_batch(wire)
        assert verify_batch(batch, None) is None
        for statement in batch.statements:
            assert isinstance(statement, Statement)
            header, body = statement
            decode_header(header)
            decode_body(body)

    rounds = 5
    sealed, checked, read, signed, verified = [], [], [], [], []
    for _ in range(rounds):  # in turn, so that a machine that slows down slows all of them
        share = seconds / rounds
        sealed.append(_rate(seal_one_batch, share / 5) * BATCH_MAX)
        checked.append(_rate(check_one_batch, share / 5) * BATCH_MAX)
        read.append(_rate(check_and_read_one_batch, share / 5) * BATCH_MAX)
        signed.append(_rate(lambda: secret.sign(statements[0].body), share / 5))
        verified.append(_rate(lambda: verify(key, single, statements[0].body), share / 5))
    unit = "envelopes/s"
    return [
        Figure(
            "sealed_per_s", "sealed, batches of 64", _median(sealed), unit, ">= 250,000", "leaves, signature, encoding"
        ),
        Figure(
            "verified_per_s",
            "verified, batches of 64",
            _median(checked),
            unit,
            ">= 150,000",
            "decoding, leaves, strict check",
        ),
        Figure(
            "read_per_s",
            "verified, headers and bodies read",
            _median(read),
            unit,
            ">= 150,000",
            "every field validated as well",
        ),
        Figure("reference_sign_per_s", "reference: one signature each", _median(signed), unit),
        Figure("reference_verify_per_s", "reference: one strict check each", _median(verified), unit),
    ]


def _statement(key: bytes, number: int) -> Statement:
    now = 1_700_000_000 * 10**9
    header = Header(
        v=1, id=f"bench-{number:026d}", origin=key, sender="agent0", destination=key, to="worker1", kind="brief",
        in_reply_to=None, thread=None, swarm=None, idempotency_key=None, requires_ack=False,
        ts=now, clock=now + number, expires=now + 86_400 * 10**9, parent=None,
    )  # fmt: skip
    text = os.urandom(BODY_BYTES // 2).hex()
    return Statement(
        encode_header(replace(header, id=f"b-{number}")), encode_body(Body(text=text, data=None, attachments=()))
    )


def _rate(call: Callable[[], object], seconds: float) -> float:
    """Calls a second of processor time of this process, so that a busy neighbour does not count."""
    calls, begun = 0, time.process_time()
    while (spent := time.process_time() - begun) < seconds or calls < 5:
        call()
        calls += 1
    return calls / spent


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
