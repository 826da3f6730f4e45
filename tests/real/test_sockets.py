"""Unix sockets of the real world: modes, leftovers, and a process without descriptors."""

from __future__ import annotations

import os
import resource
import stat
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from netsky.node.seams.real_sockets import RealSockets

pytestmark = pytest.mark.real


async def test_bytes_go_both_ways_and_an_end_is_an_end(tmp_path: Path) -> None:
    sockets, path = RealSockets(), str(tmp_path / "s")
    listener = await sockets.listen(path)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    ours = await sockets.connect(path)
    theirs = await listener.accept()
    big = os.urandom(3_000_000)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.send, big)
        got = b""
        while len(got) < len(big):
            got += await theirs.receive(65_536)
    assert got == big
    ours.close()
    assert await theirs.receive(10) == b""
    with pytest.raises(ConnectionError):
        await theirs.send(b"x" * 1_000_000)
    theirs.close()
    assert await theirs.receive(10) == b""
    listener.close()
    assert not await trio.Path(path).exists()


async def test_a_stale_socket_is_replaced_and_anything_else_is_left(tmp_path: Path) -> None:
    sockets, path = RealSockets(), str(tmp_path / "s")
    first = await sockets.listen(path)
    second = await sockets.listen(path)
    first.close()  # the file is its successor's by now
    (await sockets.connect(path)).close()
    second.close()
    (tmp_path / "s").write_text("notes")
    with pytest.raises(FileExistsError):
        await sockets.listen(path)
    assert (tmp_path / "s").read_text() == "notes"


async def test_a_lack_of_descriptors_is_waited_out(tmp_path: Path) -> None:
    sockets, path = RealSockets(), str(tmp_path / "s")
    listener = await sockets.listen(path)
    waiting = await sockets.connect(path)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
    taken: list[int] = []
    try:
        with suppress(OSError):
            while True:
                taken.append(os.dup(0))
        async with trio.open_nursery() as nursery:

            async def give_back() -> None:
                await trio.sleep(0.15)
                for descriptor in taken:
                    os.close(descriptor)

            nursery.start_soon(give_back)
            with trio.fail_after(10):
                stream = await listener.accept()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    await waiting.send(b"hi")
    assert await stream.receive(10) == b"hi"
    for one in (waiting, stream, listener):
        one.close()
