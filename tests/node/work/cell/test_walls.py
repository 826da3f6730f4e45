"""What is to be seen in a strict sandbox, on machines that exist only here."""

from __future__ import annotations

from dataclasses import replace

import pytest
from netsky.node.actors.fence import Fence, argv
from netsky.node.errors import Usage
from netsky.node.work.cell.cell import Cell
from netsky.node.work.cell.walls import SECRET, Grounds, build, shows

from tests.node.paths import Machine

NODE = "/home/u/.netsky"
GROUNDS = Grounds(NODE, f"{NODE}/run")
WORK = f"{NODE}/workspaces/t1/repo"
USUAL = {
    *("/usr/bin/python3", "/usr/lib/", "/etc/passwd", "/etc/shadow", "/etc/ssl/certs/", "/etc/ssl/private/key"),
    *("/home/u/.ssh/id", f"{NODE}/node.key", f"{NODE}/meta.db", f"{NODE}/channels/worker1/", f"{NODE}/logs/node.log"),
    *(f"{WORK}/", f"{NODE}/workspaces/t1/context/a", f"{NODE}/workspaces/t2/repo/", f"{NODE}/run/worker1/"),
    *(f"{NODE}/run/worker2/", f"{NODE}/run/cell-1/", "/opt/tool/bin/tool", "/run/docker.sock"),
}
LINKS = {"/bin": "usr/bin", "/lib": "usr/lib"}


def machine(*more: str, links: dict[str, str] | None = None, **fields: object) -> Machine:
    return replace(Machine(USUAL | set(more), {**LINKS, **(links or {})}), **fields)  # type: ignore[arg-type]


def ways(fence: Fence) -> dict[str, str]:
    return {mount.path: mount.how for mount in fence.mounts}


def test_a_cell_begins_with_nothing_and_shows_the_system_and_its_workspace_alone() -> None:
    fence = build(Cell(WORK), GROUNDS, machine())
    assert fence.mounts[0].how == "root"
    assert fence.closed
    assert ways(fence) == {
        "/": "seal", "/dev": "seal", "/bin": "link", "/lib": "link", "/usr": "read_only", "/etc/passwd": "read_only",
        "/etc/ssl/certs": "read_only", "/tmp": "empty", "/dev/shm": "empty", WORK: "writable",
    }  # fmt: skip


def test_of_criteria_the_workspace_cannot_be_written_and_managers_have_none() -> None:
    assert ways(build(Cell(WORK, workspace_writable=False), GROUNDS, machine()))[WORK] == "read_only"
    assert not any(path.startswith(NODE) for path in ways(build(Cell(""), GROUNDS, machine())))


def test_what_a_cell_may_read_and_its_socket_are_there_read_only() -> None:
    cell = Cell(WORK, readable=(f"{NODE}/workspaces/t1/context",), actor_socket=f"{NODE}/run/worker1")
    found = ways(build(cell, GROUNDS, machine(), f"{NODE}/run/cell-1"))
    for path in (f"{NODE}/workspaces/t1/context", f"{NODE}/run/worker1", f"{NODE}/run/cell-1"):
        assert found[path] == "read_only"
    assert f"{NODE}/run/worker2" not in found
    assert f"{NODE}/workspaces/t2/repo" not in found


def test_everything_that_is_in_memory_has_a_size() -> None:
    fence = build(Cell(WORK, scratch_bytes=1000), GROUNDS, machine())
    sizes = {mount.path: mount.size for mount in fence.mounts if mount.how == "empty"}
    assert sizes["/tmp"] == 1000
    assert all(sizes.values())


@pytest.mark.parametrize("secret", [f"{NODE}/{name}" for name in SECRET if name != "operator.sock"] + [f"{NODE}/run"])
@pytest.mark.parametrize("above", [False, True])
def test_a_cell_that_would_show_a_secret_of_the_node_is_refused(secret: str, above: bool) -> None:
    there = machine(*(f"{NODE}/{name}" for name in ("owner.key", "config.toml", "operator.sock")))
    for cell in (Cell(WORK, readable=(NODE if above else secret,)), Cell(NODE if above else secret)):
        with pytest.raises(Usage, match="seen by nobody"):
            build(cell, GROUNDS, there)


def test_a_link_that_leads_to_a_secret_is_refused_like_the_secret() -> None:
    there = machine(links={"/home/u/innocent": f"{NODE}/channels"})
    with pytest.raises(Usage, match="channels"):
        build(Cell(WORK, readable=("/home/u/innocent",)), GROUNDS, there)


def test_a_link_that_an_earlier_program_laid_in_the_workspace_is_not_followed_out_of_it() -> None:
    cell = Cell(WORK, readable=(f"{WORK}/context",))
    with pytest.raises(Usage, match="leads out of the workspace"):
        build(cell, GROUNDS, machine(links={f"{WORK}/context": "/home/u/.ssh"}))
    found = ways(build(cell, GROUNDS, machine(f"{WORK}/inner/", links={f"{WORK}/context": f"{WORK}/inner"})))
    assert found[f"{WORK}/inner"] == "read_only"


def test_an_interpreter_beside_the_nodes_secrets_is_refused() -> None:
    with pytest.raises(Usage, match="seen by nobody"):
        build(Cell(WORK), GROUNDS, machine(code=("/usr", "/home/u")))


def test_what_is_not_there_is_said() -> None:
    with pytest.raises(Usage, match=r"/nowhere .* no such path"):
        build(Cell(WORK, readable=("/nowhere",)), GROUNDS, machine())


def test_another_actors_socket_is_no_reading_matter() -> None:
    with pytest.raises(Usage, match="seen by nobody"):
        build(Cell(WORK, readable=(f"{NODE}/run/worker2",), actor_socket=f"{NODE}/run/worker1"), GROUNDS, machine())


def test_an_interpreter_elsewhere_is_shown_under_both_of_its_names() -> None:
    there = machine("/data/py/bin/python3", links={"/home/u/venv": "/data/py"}, code=("/home/u/venv", "/usr"))
    found = ways(build(Cell(WORK), GROUNDS, there))
    assert found["/home/u/venv"] == found["/data/py"] == "read_only"
    assert list(found).count("/usr") == 1


def test_outer_mounts_come_before_inner_ones_and_the_seals_last() -> None:
    cell = Cell("/tmp/x/repo", readable=("/tmp/x/repo/context", "/tmp/y"), actor_socket=f"{NODE}/run/worker1")
    fence = build(cell, GROUNDS, machine("/tmp/x/repo/context/", "/tmp/y/"))
    middle = [mount.path for mount in fence.mounts if mount.how not in {"root", "devices", "seal"}]
    for at, path in enumerate(middle):
        assert not any(path.startswith(later + "/") for later in middle[at + 1 :])
    assert [mount.how for mount in fence.mounts[-2:]] == ["seal", "seal"]
    assert fence.mounts[-1].path == "/"


def test_a_program_is_seen_where_its_folder_is_shown() -> None:
    fence = build(Cell(WORK), GROUNDS, machine())
    assert shows(fence, "/usr/bin/python3")
    assert shows(fence, f"{WORK}/run.sh")
    assert not shows(fence, "/opt/tool/bin/tool")
    assert not shows(fence, f"{WORK}-other/run.sh")


def test_bubblewrap_is_told_to_leave_nothing_in_common_with_the_outside() -> None:
    words = argv("bubblewrap", build(Cell(WORK), GROUNDS, machine("/proc/sys/")), machine("/proc/sys/"))
    for word in ("--unshare-net", "--unshare-ipc", "--unshare-pid", "--unshare-user", "--disable-userns"):
        assert word in words
    assert ["--bind", "/", "/"] not in [words[at : at + 3] for at in range(len(words))]
    assert words.index("--proc") < words.index("--remount-ro")
    assert words[-5:] == ["--remount-ro", "/dev", "--remount-ro", "/", "--"]
    assert ["--size", str(256 << 20), "--tmpfs", "/tmp"] in [words[at : at + 4] for at in range(len(words))]
    assert ["--ro-bind", "/proc/sys", "/proc/sys"] in [words[at : at + 3] for at in range(len(words))]


def test_unshare_is_told_the_same_and_the_plan_begins_with_an_empty_root() -> None:
    words = argv("unshare", build(Cell(WORK), GROUNDS, machine()), machine())
    for word in ("--net", "--ipc", "--pid", "--user", "--mount"):
        assert word in words
    start = words.index("root")
    assert words[start : start + 4] == ["root", "/", "", "0"]
    assert words[-5:] == ["seal", "/", "", "0", "--"]
    assert ["empty", "/tmp", "0700", str(256 << 20)] in [words[at : at + 4] for at in range(start, len(words), 4)]


def test_a_cell_is_described_by_whole_paths() -> None:
    for wrong in ({"workspace": "repo"}, {"workspace": WORK, "readable": ("x",)}, {"workspace": WORK + "\0"}):
        with pytest.raises(AssertionError):
            Cell(**wrong)  # type: ignore[arg-type]
