"""One way into a cell: when it is refused, what a program is given, and what is said of its end."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
from netsky.node.actors.launch import Offered
from netsky.node.actors.runtime import Run
from netsky.node.errors import Refused, Usage
from netsky.node.home import Home
from netsky.node.seams.processes import CannotStart, Exit
from netsky.node.seams.real import real_seams
from netsky.node.seams.real_processes import RealProcesses
from netsky.node.work.cell.cell import ENDED_FOR, Cell, CellLimits, CellResult
from netsky.node.work.cell.run import Site, bounds_of, limit_of, offered_here, run_in

NONE = Offered(None, "bwrap is not installed; unshare is not installed")


class Recording(RealProcesses):
    """Notes how a program would be started, and does not."""

    def __init__(self) -> None:
        self.argv: Sequence[str] = ()
        self.given: dict[str, Any] = {}

    async def start(self, argv: Sequence[str], **given: Any) -> Any:
        self.argv, self.given = argv, given
        raise CannotStart("it was only looked at")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    home = Home(str(tmp_path / "home"))
    for name in ("home/run", "home/workspaces/t1/repo"):
        (tmp_path / name).mkdir(parents=True)
    environ = {
        "PATH": "/usr/bin:/bin",
        "HOME": "/home/u",
        "LANG": "C",
        "SECRET": "x",
        "NETSKY_HOME": "y",
        "LC_ALL": "C",
    }
    return Site(home, real_seams(), environ, NONE)


def workspace(site: Site) -> str:
    return site.home.at("workspaces", "t1", "repo")


async def looked_at(site: Site, cell: Cell, *argv: str, kind: Any = "unshare", **more: Any) -> Recording:
    recording = Recording()
    there = replace(site, seams=replace(site.seams, processes=recording), offered=Offered(kind))
    with pytest.raises(CannotStart, match="only looked at"):
        await run_in(cell, argv, stdin=b"", env=more.pop("env", {}), site=there, **more)
    return recording


async def test_without_walls_nothing_runs_and_the_sentence_names_both_ways_on(site: Site) -> None:
    with pytest.raises(Refused) as refused:
        await run_in(Cell(workspace(site)), ["true"], stdin=b"", env={}, site=site)
    assert refused.value.code == "no_sandbox"
    assert "bwrap is not installed" in refused.value.message
    assert "--unsandboxed" in refused.value.next


async def test_the_operators_word_lets_it_run_without_walls_and_the_result_says_so(site: Site) -> None:
    script = "import os, sys; print(os.getcwd(), os.environ.get('SECRET'), sys.stdin.read())"
    cell = Cell(workspace(site), hosts=("example.org:443",))
    result = await run_in(cell, [sys.executable, "-c", script], stdin=b"hi", env={}, site=site, unsandboxed=True)
    assert result.walled == "unsandboxed"
    assert result.said.decode().split() == [workspace(site), "None", "hi"]
    assert result.ok


async def test_where_there_are_walls_that_word_changes_nothing(site: Site) -> None:
    assert (await looked_at(site, Cell(workspace(site)), "true", unsandboxed=True)).given["fence"]


async def test_without_walls_the_bounds_hold_all_the_same(site: Site) -> None:
    script = (
        "import subprocess, sys\nfor _ in range(30): subprocess.Popen(['sleep', '60'])\nsys.stdin.read()\nwhile 1: pass"
    )
    limits = replace(CellLimits(), processes=10, seconds=20)
    argv = [sys.executable, "-c", script]
    result = await run_in(Cell(workspace(site), limits=limits), argv, stdin=b"", env={}, site=site, unsandboxed=True)
    assert result.limit == "processes"
    assert result.exit.signal == signal.SIGKILL
    assert result.sentence() == ENDED_FOR["processes"]


async def test_a_run_that_is_cancelled_leaves_nothing_running(site: Site) -> None:
    script = "import os, signal, time; signal.signal(15, signal.SIG_IGN)\n"
    script += "with open('pid', 'w') as f: f.write(str(os.getpid()))\ntime.sleep(99)"
    argv, pid = [sys.executable, "-c", script], Path(workspace(site)) / "pid"
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            await run_in(Cell(workspace(site)), argv, stdin=b"", env={}, site=site, unsandboxed=True)

        nursery.start_soon(run)
        with trio.fail_after(20):
            while not (pid.exists() and pid.read_text()):  # noqa: ASYNC110 - a file rings no bell
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
    assert os.listdir(site.home.at("cells")) == []


async def test_a_program_is_given_what_every_program_needs_and_no_more(site: Site) -> None:
    recording = await looked_at(site, Cell(workspace(site)), "true", env={"NETSKY_ACTOR": "worker1", "LANG": "de"})
    assert recording.given["env"] == {
        "PATH": "/usr/bin:/bin", "LANG": "de", "LC_ALL": "C", "HOME": "/tmp", "TMPDIR": "/tmp",
        "NETSKY_ACTOR": "worker1",
    }  # fmt: skip
    assert recording.given["cwd"] == workspace(site)


async def test_a_scope_with_hosts_gets_a_proxy_of_its_own_for_as_long_as_it_runs(site: Site) -> None:
    cell = Cell(workspace(site), hosts=("example.org:443",))
    recording = await looked_at(site, cell, "true")
    python, _, _, script, path, port, dashes, program = recording.argv
    assert (os.path.basename(script), dashes, os.path.basename(program)) == ("forward.py", "--", "true")
    assert python == site.seams.processes.world().python
    assert os.path.dirname(path).startswith(f"{site.home.runtime_folder}/cell-")
    assert os.path.dirname(path) in recording.given["fence"], "its folder is shown"
    assert recording.given["env"]["HTTPS_PROXY"] == recording.given["env"]["https_proxy"] == f"http://127.0.0.1:{port}"
    assert os.listdir(site.home.runtime_folder) == []


async def test_a_scope_without_hosts_gets_none(site: Site) -> None:
    recording = await looked_at(site, Cell(workspace(site)), "true")
    assert "forward.py" not in " ".join(recording.argv)
    assert "HTTPS_PROXY" not in recording.given["env"]


async def test_a_host_that_is_none_is_a_sentence(site: Site) -> None:
    there = replace(site, offered=Offered("unshare"))
    with pytest.raises(Usage, match=r"example\.org.* port"):
        await run_in(Cell(workspace(site), hosts=("example.org",)), ["true"], stdin=b"", env={}, site=there)


@pytest.mark.parametrize(
    ("program", "sentence"), [("no-such-program", "there is no program"), ("/etc/hostname", "does not show")]
)
async def test_a_program_that_is_not_to_be_seen_is_a_sentence(site: Site, program: str, sentence: str) -> None:
    there = replace(site, offered=Offered("unshare"))
    with pytest.raises(CannotStart, match=sentence):
        await run_in(Cell(workspace(site)), [program], stdin=b"", env={}, site=there)


async def test_nothing_of_a_run_is_left_in_the_home(site: Site) -> None:
    argv = [sys.executable, "-c", "import sys; print('words', file=sys.stderr)"]
    result = await run_in(Cell(workspace(site)), argv, stdin=b"", env={}, site=site, unsandboxed=True)
    assert result.errors == b"words\n"
    assert os.listdir(site.home.at("cells")) == []


async def test_of_its_last_words_the_end_is_kept_and_all_of_them_in_a_log_that_was_named(site: Site) -> None:
    log = site.home.at("t1.log")
    argv = [sys.executable, "-c", "import sys; print('first' + 'x' * 9000 + 'last', file=sys.stderr)"]
    result = await run_in(Cell(workspace(site)), argv, stdin=b"", env={}, site=site, unsandboxed=True, log=log)
    assert len(result.errors) == 4096
    assert result.errors.endswith(b"last\n")
    assert Path(log).read_bytes().startswith(b"first")  # noqa: ASYNC240 - a test's own look


async def test_what_a_dead_node_left_is_cleared_before_the_walls_are_tried(site: Site) -> None:
    left = Path(site.home.runtime_folder) / "cell-00000000"
    left.mkdir()
    (left / "proxy.sock").touch()
    log = Path(site.home.at("cells", "0123"))
    log.parent.mkdir()
    log.touch()  # noqa: ASYNC240

    class Nothing(RealProcesses):
        def which(self, program: str) -> str | None:
            return None

        async def start(self, argv: Sequence[str], **given: Any) -> Any:
            raise AssertionError

    seams = replace(site.seams, processes=Nothing())
    found = await offered_here(site.home, seams, site.environ)
    assert found == NONE
    assert not left.exists()


@pytest.mark.parametrize(
    ("run", "limit"),
    [
        (Run(Exit(0, None), b""), ""),
        (Run(Exit(None, 15), b"", timed_out=True), "time"),
        (Run(Exit(None, 9), b"", too_much=True), "output"),
        (Run(Exit(None, 9, 3, 0, "memory"), b""), "memory"),
        (Run(Exit(None, 9, 3, 0, "free_space"), b""), "free_space"),
        (Run(Exit(None, signal.SIGXFSZ), b""), "file"),
        (Run(Exit(128 + signal.SIGXFSZ, None), b""), "file"),
        (Run(Exit(1, None), b""), ""),
        (Run(Exit(None, 11), b""), ""),
    ],
)
def test_a_result_names_the_limit_for_which_it_was_ended(run: Run, limit: str) -> None:
    assert limit_of(run) == limit
    result = CellResult(run.exit, run.said, b"", "namespaces", limit_of(run))
    assert result.sentence() == ENDED_FOR.get(limit, run.exit.sentence())
    assert result.ok == (run.exit.code == 0 and limit == "")


def test_what_cannot_be_written_is_not_watched() -> None:
    assert bounds_of(Cell("/x", workspace_writable=False)).grows == ""
    assert bounds_of(Cell("")).grows == ""
    assert bounds_of(Cell("/x")).grows == "/x"
