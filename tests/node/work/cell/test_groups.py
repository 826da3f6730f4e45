"""Control groups, on a folder that only looks like the kernel's: what a kernel does with them is not to be seen."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from netsky.node.seams import groups
from netsky.node.seams.processes import Bounds

BOUNDS = Bounds(processes=100, memory=1 << 30, file=1)


class Kernel:
    """A hierarchy in which we stand in /user/service, which was delegated."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.ours = root / "groups", root / "groups/user/service"
        self.own = root / "own"
        self.own.write_text("4:memory:/elsewhere\n0::/user/service\n")
        self.delegated = True
        self.fill(self.ours, "cpu memory pids")
        make = os.mkdir

        def mkdir(path: str, *rest: int) -> None:
            make(path, *rest)
            self.fill(Path(path), "memory pids")

        def getxattr(path: str, name: str) -> bytes:
            if path == str(self.ours) and name == "user.delegate" and self.delegated:
                return b"1"
            raise OSError

        monkeypatch.setattr(os, "mkdir", mkdir)
        monkeypatch.setattr(os, "getxattr", getxattr)

    def fill(self, folder: Path, controllers: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        names = (
            "cgroup.procs",
            "cgroup.subtree_control",
            "memory.max",
            "memory.oom.group",
            "pids.max",
            "memory.events",
        )
        for name in names:
            (folder / name).write_text("")
        (folder / "cgroup.controllers").write_text(controllers)

    def find(self) -> groups.Groups | None:
        return groups.find(str(self.root), str(self.own))


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(tmp_path, monkeypatch)


def test_where_a_group_was_given_to_us_each_program_gets_one_with_its_bounds(kernel: Kernel) -> None:
    found = kernel.find()
    assert found is not None
    assert (kernel.ours / "cgroup.subtree_control").read_text() == "+memory +pids"
    one, other = found.make(BOUNDS), found.make(BOUNDS)
    assert one is not None
    assert other is not None
    assert one.folder != other.folder
    folder = Path(one.folder)
    assert folder.parent == kernel.ours
    assert int((folder / "memory.max").read_text()) == (1 << 30) + groups.SPARE_BYTES
    assert int((folder / "pids.max").read_text()) == 100 + groups.SPARE_TASKS
    assert (folder / "memory.oom.group").read_text() == "1"


def test_we_move_out_of_the_way_since_a_group_with_processes_bounds_no_children(kernel: Kernel) -> None:
    (kernel.ours / "cgroup.procs").write_text("4711\n")
    assert kernel.find() is not None
    assert (kernel.ours / "node/cgroup.procs").read_text() == "4711"


@pytest.mark.parametrize("lacking", ["delegation", "controllers", "version 2", "a place"])
def test_where_it_was_not_nothing_is_touched(kernel: Kernel, lacking: str) -> None:
    if lacking == "delegation":
        kernel.delegated = False
    elif lacking == "controllers":
        (kernel.ours / "cgroup.controllers").write_text("cpu pids")
    elif lacking == "version 2":
        kernel.own.write_text("4:memory:/elsewhere\n")
    else:
        kernel.own.write_text("0::/somewhere/else\n")
    assert kernel.find() is None
    assert not (kernel.ours / "node").exists()
    assert (kernel.ours / "cgroup.subtree_control").read_text() == ""


def test_a_group_that_cannot_be_made_is_none_and_the_program_goes_without(kernel: Kernel) -> None:
    found = kernel.find()
    assert found is not None
    os.rename(kernel.ours, str(kernel.ours) + ".gone")
    assert found.make(BOUNDS) is None


def test_an_end_by_the_kernel_for_memory_is_told_as_such(kernel: Kernel) -> None:
    found = kernel.find()
    group = None if found is None else found.make(BOUNDS)
    assert group is not None
    assert group.exceeded() == ""
    events = Path(group.folder) / "memory.events"
    events.write_text("low 0\nhigh 0\nmax 7\noom 1\noom_kill 0\n")
    assert group.exceeded() == ""
    events.write_text("low 0\nhigh 0\nmax 7\noom 1\noom_kill 3\n")
    assert group.exceeded() == "memory"


def test_whoever_writes_into_the_door_is_written_down(kernel: Kernel) -> None:
    found = kernel.find()
    group = None if found is None else found.make(BOUNDS)
    assert group is not None
    door = group.door()
    os.write(door, b"0")
    os.close(door)
    assert (Path(group.folder) / "cgroup.procs").read_text() == "0"
