"""Where a home and its sockets are."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from netsky.node.errors import NotFound, Refused, Usage
from netsky.node.home import SOCKET_PATH_BYTES_MAX, Home, check_permissions, prepare_runtime_folder, runtime_folder
from netsky.node.seams.real_files import RealFiles


def test_a_home_is_named_by_the_option_then_the_environment_then_the_user(tmp_path: Path) -> None:
    environ = {"NETSKY_HOME": str(tmp_path / "b")}
    assert Home.find(str(tmp_path / "a"), environ).path == str(tmp_path / "a")
    assert Home.find(None, environ).path == str(tmp_path / "b")
    assert Home.find(None, {}).path == os.path.realpath(os.path.expanduser("~/.netsky"))
    with pytest.raises(Usage):
        Home.find("a\0b")


def test_one_home_under_two_paths_is_one_home(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert Home.find(str(tmp_path / "link" / "h")) == Home.find(str(tmp_path / "real" / "h"))


def test_sockets_are_in_a_home_with_a_short_path() -> None:
    home = Home("/h")
    assert home.operator_socket == "/h/operator.sock"
    assert home.actor_socket("agent0") == "/h/run/agent0/actor.sock"


@pytest.fixture
def long_home(tmp_path: Path) -> Home:
    path = str(tmp_path / ("x" * 100))
    os.mkdir(path, 0o700)
    return Home(path)


def test_a_home_with_a_long_path_has_its_sockets_where_they_fit_whatever_the_clients_environment(
    long_home: Home, tmp_path: Path
) -> None:
    session = "/tmp/netsky-test-session"
    os.makedirs(session, 0o700, exist_ok=True)
    chosen = runtime_folder(long_home, {"XDG_RUNTIME_DIR": session})
    assert chosen.startswith(f"{session}/netsky-")
    assert chosen != runtime_folder(Home(long_home.path + "y"), {"XDG_RUNTIME_DIR": session})
    assert runtime_folder(long_home, {}) == f"/tmp/netsky-{os.getuid()}-{chosen[-16:]}"
    prepare_runtime_folder(long_home, RealFiles())
    where = os.readlink(long_home.at("run"))
    assert runtime_folder(long_home, {"XDG_RUNTIME_DIR": session}) == runtime_folder(long_home, {}) == where
    assert len(long_home.actor_socket("agentinfinity")) <= SOCKET_PATH_BYTES_MAX
    prepare_runtime_folder(long_home, RealFiles())
    os.rmdir(where)
    os.rmdir(session)


def test_a_session_folder_that_others_can_enter_is_not_used(long_home: Home, tmp_path: Path) -> None:
    shared = tmp_path / "s"
    shared.mkdir()
    shared.chmod(0o755)
    assert runtime_folder(long_home, {"XDG_RUNTIME_DIR": str(shared)}).startswith("/tmp/netsky-")


def test_a_prepared_folder_that_others_can_enter_is_refused(long_home: Home) -> None:
    folder = long_home.runtime_folder
    os.mkdir(folder)
    os.chmod(folder, 0o777)
    try:
        with pytest.raises(Refused, match="not a folder that only you can enter"):
            prepare_runtime_folder(long_home, RealFiles())
    finally:
        os.rmdir(folder)


def test_a_home_that_is_missing_or_no_folder_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(NotFound):
        check_permissions(Home(str(tmp_path / "nothing")), RealFiles())
    with pytest.raises(Refused, match="is no folder"):
        check_permissions(Home(str(tmp_path / "file")), RealFiles())


@pytest.fixture
def keyed_home(tmp_path: Path) -> Home:
    home = Home(str(tmp_path / "h"))
    os.mkdir(home.path, 0o700)
    Path(home.node_key).write_text("secret")
    os.chmod(home.node_key, 0o600)
    check_permissions(home, RealFiles())
    return home


def test_another_name_of_a_key_in_the_home_is_said_and_removing_it_is_enough(keyed_home: Home) -> None:
    other = keyed_home.at("channels", "agent1", "quarantine", "notes; touch x")
    os.makedirs(os.path.dirname(other))
    os.link(keyed_home.node_key, other)
    with pytest.raises(Refused) as caught:
        check_permissions(keyed_home, RealFiles())
    assert other in caught.value.message
    command, _, _ = caught.value.next.partition(", and")
    subprocess.run(command, shell=True, check=True, cwd=keyed_home.path)
    assert not os.path.exists(keyed_home.at("x"))
    check_permissions(keyed_home, RealFiles())


def test_another_name_of_a_key_outside_the_home_is_cut_off_by_what_is_said(keyed_home: Home, tmp_path: Path) -> None:
    os.link(keyed_home.node_key, tmp_path / "elsewhere")
    with pytest.raises(Refused) as caught:
        check_permissions(keyed_home, RealFiles())
    command, _, _ = caught.value.next.partition(" (")
    subprocess.run(command, shell=True, check=True)
    check_permissions(keyed_home, RealFiles())
    assert Path(keyed_home.node_key).read_text() == "secret"


def test_a_key_that_is_no_file_is_refused(keyed_home: Home) -> None:
    os.unlink(keyed_home.node_key)
    os.mkdir(keyed_home.node_key)
    with pytest.raises(Refused, match="a folder stands there"):
        check_permissions(keyed_home, RealFiles())
