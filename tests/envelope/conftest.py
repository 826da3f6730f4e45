"""One fixed key and two makers of valid parts, so that a test names only what it changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from netsky.envelope.fields import Attachment, Body, Header
from netsky.envelope.limits import EXPIRES_WORK_NS

NOON = 1_795_262_400_000_000_000  # 2026-11-21T12:00:00Z


@pytest.fixture(scope="session")
def secret() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@pytest.fixture(scope="session")
def key(secret: Ed25519PrivateKey) -> bytes:
    return secret.public_key().public_bytes_raw()


@pytest.fixture(scope="session")
def make_header(key: bytes) -> Callable[..., Header]:
    usual = Header(
        v=1,
        id="task-1.a",
        origin=key,
        sender="agent0@netsky0",
        destination=bytes(range(32, 64)),
        to="worker12@netsky3",
        kind="ticket",
        in_reply_to="earlier/1",
        thread="thread~1",
        swarm=None,
        idempotency_key="again-1",
        requires_ack=True,
        ts=NOON,
        clock=NOON + 1,
        expires=NOON + EXPIRES_WORK_NS,
        parent=None,
    )
    return lambda **changes: replace(usual, **changes)


@pytest.fixture(scope="session")
def make_body() -> Callable[..., Body]:
    usual = Body(
        text='Count the lines of "ä.txt".\n',
        data=b'{"files":["\xc3\xa4.txt"],"limit":1.5,"no":null}',
        attachments=(Attachment("ä.txt", 70_000, bytes(range(64, 96))),),
    )
    return lambda **changes: replace(usual, **changes)


@pytest.fixture(scope="session")
def vectors() -> Path:
    return Path(__file__).parent / "vectors"
