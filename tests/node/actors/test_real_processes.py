"""The shipped processes seam, with real programs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from netsky.node.actors.converse import end
from netsky.node.actors.fence import Fence, Kind, argv
from netsky.node.actors.launch import PROGRAMS
from netsky.node.seams.processes import CannotStart, Exit
from netsky.node.seams.real_processes import RealProcess, RealProcesses

from tests import needs

Start = Callable[..., Any]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def start(log: Path) -> Start:
    async def start(*argv: str, stdin: bool = False, stdout: bool = False, **more: Any) -> RealProcess:
        given: dict[str, Any] = {"env": dict(os.environ), "cwd": "/", "log": str(log), "log_bytes": 100_000}
        return await RealProcesses().start(argv, stdin=stdin, stdout=stdout, **(given | more))

    return start


async def said(process: RealProcess) -> bytes:
    found = b""
    while some := await process.receive(4096):
        found += some
    return found


async def settled(name: str, tmp: Path) -> None:
    """Waits for a file that the program makes once it is where the test wants it."""
    with trio.fail_after(10):
        while not there(tmp / name):  # noqa: ASYNC110 - a file rings no bell
            await trio.sleep(0.005)


def text(path: Path) -> str:
    return path.read_text()


def how_many(folder: Path, pattern: str) -> int:
    return len(list(folder.glob(pattern)))


def size(path: Path) -> int:
    return path.stat().st_size


def there(path: Path) -> bool:
    return path.exists()


def zombies() -> bool:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True


def nap(mark: int) -> str:
    """A program to be found again; another run of these tests, beside this one, has naps of its own."""
    return f"sleep {mark}.{os.getpid()}"


def alive(mark: int) -> list[str]:
    listed = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if nap(mark) in line and "sh -c" not in line]


async def test_what_goes_in_comes_out(start: Start) -> None:
    process = await start("cat", stdin=True, stdout=True)
    await process.send(b"hello")
    process.close_input()
    assert await said(process) == b"hello"
    assert await process.wait() == Exit(0, None)
    assert await process.wait() == Exit(0, None)


@pytest.mark.parametrize(("script", "how"), [("exit 3", Exit(3, None)), ("kill -9 $$", Exit(None, 9))])
async def test_how_it_ended_is_what_the_program_did(start: Start, script: str, how: Exit) -> None:
    assert await (await start("sh", "-c", script)).wait() == how


@pytest.mark.parametrize(
    ("program", "why"), [("/nonexistent", "No such file"), ("/etc/passwd", "Permission denied"), ("/", "Permission")]
)
async def test_what_cannot_start_is_said_at_once(start: Start, program: str, why: str) -> None:
    with pytest.raises(CannotStart, match=why):
        await start(program)


async def test_a_missing_folder_and_a_log_that_cannot_be_written_are_said(start: Start, tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="/nowhere"):
        await start("true", cwd="/nowhere")
    with pytest.raises(CannotStart, match=r"its log .* cannot be written"):
        await start("true", log=str(tmp_path / "no" / "log"))


async def test_what_a_fence_says_when_it_fails_stands_in_the_log(start: Start, log: Path) -> None:
    with pytest.raises(CannotStart, match="the reason stands in its log"):
        await start("true", fence=["sh", "-c", "echo no fence today >&2; exit 1", "--"])
    assert text(log) == "no fence today\n"


async def test_stderr_goes_to_the_log_and_stdout_too_unless_it_is_a_pipe(start: Start, log: Path) -> None:
    await (await start("sh", "-c", "echo one; echo two >&2")).wait()
    process = await start("sh", "-c", "echo three; echo four >&2", stdout=True)
    assert await said(process) == b"three\n"
    await process.wait()
    assert text(log) == "one\ntwo\nfour\n"


async def test_a_program_that_writes_without_end_fills_no_disk(start: Start, log: Path) -> None:
    await (await start("sh", "-c", "yes | head -c 5000000; echo last")).wait()
    assert size(log) <= 100_000 + 65_536
    assert text(log).endswith("y\nlast\n")
    assert text(log).startswith("... older lines were dropped ...\ny\n")


async def test_a_signal_reaches_the_program_and_its_group(start: Start, tmp_path: Path) -> None:
    script = f"trap 'exit 7' TERM; {nap(4001)} & touch there; while :; do sleep 0.02; done"
    process = await start("sh", "-c", script, cwd=str(tmp_path))
    await settled("there", tmp_path)
    process.signal_group(signal.SIGTERM)
    assert await process.wait() == Exit(7, None)
    assert not alive(4001)
    process.signal_group(signal.SIGTERM)  # nobody is there, and nothing happens


async def test_with_its_end_it_is_told_how_many_processes_it_was(start: Start, tmp_path: Path) -> None:
    script = "import os, time; os.fork() or (os.setsid(), os.fork()); open(f'there{os.getpid()}', 'w'); time.sleep(60)"
    process = await start(sys.executable, "-c", script, cwd=str(tmp_path))
    with trio.fail_after(10):
        while how_many(tmp_path, "there*") < 3:  # noqa: ASYNC110 - files ring no bell
            await trio.sleep(0.005)
    exit = await end(process, 3)  # noqa: A001 - the type's own word
    assert (exit, exit.ended, exit.left) == (Exit(None, signal.SIGTERM), 3, 0)
    by_itself = await (await start("true")).wait()
    assert (by_itself.ended, by_itself.left) == (0, 0)


async def test_what_ignores_the_signal_and_what_left_the_group_end_with_the_second_step(
    start: Start, tmp_path: Path
) -> None:
    script = (
        f"trap '' TERM; setsid sh -c 'setsid {nap(4002)} & {nap(4002)}' & sleep 0.1; touch there; while :; do :; done"
    )
    process = await start("sh", "-c", script, cwd=str(tmp_path))
    await settled("there", tmp_path)
    assert alive(4002)
    assert await end(process, 0.05) == Exit(None, 9)
    assert not alive(4002)


async def test_nothing_that_a_program_leaves_behind_outlives_it(start: Start) -> None:
    assert await (await start("sh", "-c", f"setsid {nap(4003)} & sleep 0.1")).wait() == Exit(0, None)
    assert not alive(4003)


async def test_a_program_that_kills_or_stops_its_keeper_gains_nothing(start: Start, tmp_path: Path) -> None:
    process = await start("sh", "-c", f"sleep 0.2; kill -9 $PPID; exec {nap(4004)}")
    assert await process.wait() == Exit(None, 9)
    with trio.fail_after(5):  # nobody of ours is its parent now, so nobody of ours can wait for it
        while alive(4004):  # noqa: ASYNC110
            await trio.sleep(0.01)
    process = await start("sh", "-c", f"sleep 0.2; kill -STOP $PPID; touch there; exec {nap(4005)}", cwd=str(tmp_path))
    await settled("there", tmp_path)
    assert (await end(process, 0.05)).signal in {9, 15}  # awake again, the keeper finds both waiting
    assert not alive(4005)


async def test_an_input_that_is_not_read_is_a_connection_error(start: Start) -> None:
    process = await start("sh", "-c", "exec 0<&-; sleep 0.05", stdin=True)
    with pytest.raises(ConnectionError):
        await process.send(b"x" * 1_000_000)
    await process.wait()


async def test_a_cancelled_wait_is_taken_up_again(start: Start) -> None:
    process = await start("sh", "-c", "sleep 0.1; exit 4")
    with trio.move_on_after(0.01):
        await process.wait()
    assert await process.wait() == Exit(4, None)


async def test_only_what_was_meant_is_inherited(start: Start) -> None:
    kept, secret = os.pipe()
    os.set_inheritable(secret, True)
    process = await start("sh", "-c", f"ls /proc/$$/fd; cat /proc/self/fd/{kept}", stdout=True, keep=[kept])
    os.write(secret, b"given\n")
    os.close(secret)
    assert sorted((await said(process)).split()) == sorted([b"0", b"1", b"2", str(kept).encode(), b"given"])
    await process.wait()
    os.close(kept)


async def test_nothing_is_left_open_and_no_zombie_either(start: Start) -> None:
    async def once() -> None:
        process = await start("cat", stdin=True, stdout=True)
        process.close_input()
        await said(process)
        await process.wait()

    await once()
    before = sorted(os.listdir("/proc/self/fd"))
    for _ in range(3):
        await once()
        with pytest.raises(CannotStart):
            await start("/nonexistent", stdin=True, stdout=True)
    assert sorted(os.listdir("/proc/self/fd")) == before
    assert not zombies()


def test_whatever_was_started_dies_with_the_node_however_it_dies(tmp_path: Path) -> None:
    script = textwrap.dedent(f"""
        import os, trio
        from netsky.node.seams.real_processes import RealProcesses
        async def main():
            given = dict(env=dict(os.environ), cwd={str(tmp_path)!r}, log={str(tmp_path / "log")!r}, log_bytes=1000)
            script = "trap '' TERM HUP; setsid sh -c 'setsid {nap(4006)} & {nap(4006)}' & {nap(4006)}"
            argv = ["sh", "-c", script]
            process = await RealProcesses().start(argv, stdin=False, stdout=False, **given)
            await process.wait()
        trio.run(main)
    """)
    node = subprocess.Popen([sys.executable, "-c", script])

    async def scene() -> None:
        with trio.fail_after(10):
            while len(alive(4006)) < 3:  # noqa: ASYNC110 - the two that leave its session start when they like
                await trio.sleep(0.01)
        node.kill()
        with trio.fail_after(5):
            while alive(4006):  # noqa: ASYNC110 - nobody is left to tell
                await trio.sleep(0.01)

    trio.run(scene)
    node.wait()


@pytest.mark.parametrize("kind", ["bubblewrap", "unshare"])
async def test_a_program_behind_a_fence_lives_longer_than_the_thread_that_started_it(
    start: Start, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs.program(PROGRAMS[kind])
    monkeypatch.setattr("trio._core._thread_cache.IDLE_TIMEOUT", 0.1)
    process = await start("sleep", "30", fence=argv(kind, Fence((), ()), RealProcesses().world()))
    with trio.move_on_after(1):
        pytest.fail(f"it {(await process.wait()).sentence()}")
    assert await end(process, 1) == Exit(None, signal.SIGTERM)
