"""Where a home and its sockets are."""

from __future__ import annotations

import os
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
