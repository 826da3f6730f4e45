"""What the fence is made of, for machines that exist only here."""

from __future__ import annotations

from typing import cast

import pytest
from netsky.node.actors import fence as fences
from netsky.node.actors.fence import Fence, How, Mount, Room, argv, build, environment, folders_to_make
from netsky.node.errors import Usage

from tests.node.paths import Machine

HOME, NODE = "/home/u", "/home/u/.netsky"


def machine(*more: str, links: dict[str, str] | None = None) -> Machine:
    usual = {
        *("/usr/bin/python3", f"{HOME}/", f"{HOME}/project/", "/tmp/", f"{NODE}/node.key", f"{NODE}/run/worker1/"),
        *(f"{NODE}/run/worker2/", f"{NODE}/channels/worker1/inbox/", f"{NODE}/channels/worker2/"),
    }
    return Machine(usual | set(more), links or {})


def room(**more: str) -> Room:
    usual = {
        "node_home": NODE, "runtime_folder": f"{NODE}/run", "own_folder": f"{NODE}/run/worker1",
        "channel": f"{NODE}/channels/worker1", "user_home": HOME, "cwd": f"{HOME}/project",
        "program": "/usr/bin/python3",
    }  # fmt: skip
    return Room(**(usual | more))


def ways(fence: Fence) -> dict[str, str]:
    return {mount.path: mount.how for mount in fence.mounts}


def test_of_the_home_only_the_actors_own_two_folders_are_left() -> None:
    fence = build(room(), machine())
    assert {path: how for path, how in ways(fence).items() if path.startswith(NODE)} == {
        NODE: "empty",
        f"{NODE}/run/worker1": "read_only",
        f"{NODE}/channels/worker1": "writable",
    }


def test_outer_mounts_come_before_inner_ones_since_they_would_hide_them() -> None:
    there = machine(f"{HOME}/.config/systemd/", f"{HOME}/.docker/run/", "/run/user/1000/", "/run/lock/")
    paths = [mount.path for mount in build(room(), there).mounts]
    for at, path in enumerate(paths):
        assert not any(path.startswith(later.rstrip("/") + "/") for later in paths[at + 1 :])


def test_sockets_in_a_short_folder_elsewhere_are_hidden_but_for_the_own_one() -> None:
    short = "/tmp/netsky-1000-abc"
    there = machine(f"{short}/worker1/", f"{short}/worker2/", f"{short}/operator.sock")
    fence = build(room(runtime_folder=short, own_folder=f"{short}/worker1"), there)
    assert ways(fence)[short] == "empty"
    assert ways(fence)[f"{short}/worker1"] == "read_only"
    assert f"{short}/worker2" not in ways(fence)


def test_folders_above_what_is_protected_cannot_be_moved_away() -> None:
    fence = build(room(), machine(f"{HOME}/.config/systemd/user/"))
    assert ways(fence)[f"{HOME}/.config/systemd"] == "read_only"
    assert ways(fence)[f"{HOME}/.config"] == "writable"
    assert HOME not in ways(fence)  # /home is not ours to rename in


def test_a_start_file_that_is_there_is_read_only_and_one_that_is_not_is_named() -> None:
    fence = build(room(), machine(f"{HOME}/.bashrc"))
    assert ways(fence)[f"{HOME}/.bashrc"] == "read_only"
    assert f"{HOME}/.bashrc" not in fence.unprotected
    assert f"{HOME}/.zshenv" in fence.unprotected


def test_of_a_start_file_that_is_a_link_the_target_is_read_only_and_the_link_is_named() -> None:
    there = machine(f"{HOME}/dots/bashrc", links={f"{HOME}/.bashrc": f"{HOME}/dots/bashrc"})
    fence = build(room(), there)
    assert ways(fence)[f"{HOME}/dots/bashrc"] == "read_only"
    assert f"{HOME}/.bashrc" in fence.unprotected


def test_run_holds_what_it_holds_now_without_what_leads_outside() -> None:
    there = machine(
        *("/run/docker.sock", "/run/containerd/", "/run/lock/", "/run/user/1000/bus", "/run/systemd/resolve/"),
        links={"/run/shm": "/dev/shm"},
    )
    found = ways(build(room(), there))
    assert found["/run"] == "empty"
    assert (found["/run/lock"], found["/run/shm"], found["/run/systemd/resolve"]) == ("writable", "link", "writable")
    assert found["/run/user"] == "empty"
    assert not {"/run/docker.sock", "/run/containerd", "/run/systemd"} & found.keys()


def test_sockets_in_tmp_that_start_programs_elsewhere_are_hidden() -> None:
    there = machine("/tmp/tmux-1000/default", "/tmp/emacs1000/server", "/tmp/vscode-ipc-1.sock", "/tmp/notes.txt")
    found = ways(build(room(), there))
    assert (found["/tmp/tmux-1000"], found["/tmp/emacs1000"], found["/tmp/vscode-ipc-1.sock"]) == (
        *("empty", "empty", "masked"),
    )
    assert "/tmp/notes.txt" not in found


def test_a_container_host_that_is_named_by_a_variable_is_masked() -> None:
    assert ways(build(room(container_host="unix:///srv/d.sock"), machine("/srv/d.sock")))["/srv/d.sock"] == "masked"


@pytest.mark.parametrize(
    ("what", "more"),
    [
        ("The working folder", {"cwd": f"{NODE}/workspaces/x"}),
        ("The program", {"program": f"{NODE}/channels/worker2/tool"}),
    ],
)
def test_what_lies_behind_the_fence_and_is_needed_is_said_with_the_path_and_the_folder(
    what: str, more: dict[str, str]
) -> None:
    there = machine(f"{NODE}/workspaces/x/", f"{NODE}/channels/worker2/tool")
    with pytest.raises(Usage, match=f"{what} .* lies in {NODE}, which the fence hides") as refused:
        build(room(**more), there)
    assert refused.value.code == "behind_the_fence"


def test_a_link_that_leads_behind_the_fence_is_found_too() -> None:
    there = machine(f"{NODE}/x/", links={f"{HOME}/y": f"{NODE}/x"})
    with pytest.raises(Usage, match="The working folder"):
        build(room(cwd=f"{HOME}/y"), there)


def test_the_own_channel_may_be_the_working_folder() -> None:
    build(room(cwd=f"{NODE}/channels/worker1"), machine())


def test_folders_are_made_where_an_empty_one_harms_nobody() -> None:
    assert folders_to_make(room(), machine(f"{HOME}/.ssh/")) == [f"{HOME}/.config/systemd", "/tmp/tmux-1000"]
    assert folders_to_make(room(), machine(links={f"{HOME}/.ssh": "/gone"}))[0] == f"{HOME}/.config/systemd"


def test_bubblewrap_is_told_each_mount_in_order() -> None:
    words = argv("bubblewrap", build(room(), machine()), machine())
    assert words[:4] == ["bwrap", "--unshare-user", "--unshare-pid", "--as-pid-1"]
    assert words[-3:] == ["--proc", "/proc", "--"]
    at = words.index("--tmpfs", words.index(NODE) - 1)
    assert words[at - 2 : at + 2] == ["--perms", "0700", "--tmpfs", NODE]
    assert words.index(NODE) < words.index(f"{NODE}/run/worker1")


def test_unshare_gets_the_same_plan_in_words() -> None:
    fence = build(room(), machine())
    words = argv("unshare", fence, machine())
    plan = words[words.index("devices") : -1]
    four = [plan[at : at + 4] for at in range(0, len(plan), 4)]
    assert [Mount(cast("How", how), path, to, int(size)) for how, path, to, size in four] == list(fence.mounts)
    assert words[-1] == "--"


def test_variables_that_lead_outside_are_dropped_and_the_programs_login_is_kept() -> None:
    outside = {"NETSKY_HOME": "/h", "TMUX": "x", "DBUS_SESSION_BUS_ADDRESS": "x", "API_KEY": "k", "HOME": HOME}
    inside = environment({"NETSKY_ACTOR": "worker1"}, outside, fenced=True)
    assert inside == {"API_KEY": "k", "HOME": HOME, "NETSKY_ACTOR": "worker1"}
    assert environment({}, outside, fenced=False) == {name: outside[name] for name in outside if name != "NETSKY_HOME"}


def test_root_may_not_change_what_the_machine_starts() -> None:
    there = machine("/etc/", "/usr/")
    there.uid = 0
    assert ways(build(room(), there))["/etc"] == "read_only"


def test_every_hidden_name_is_relative_to_its_folder() -> None:
    names = (*fences.SHELL_STARTS, *fences.START_FOLDERS, *fences.HOME_CONTAINERS, *fences.TEMPORARY_SOCKETS)
    assert not [name for name in names if name.startswith("/")]
