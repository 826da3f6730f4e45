"""Unit and plist as text: against golden files, against systemd's own reader, and the loop by a real shell."""

from __future__ import annotations

import os
import plistlib
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from netsky.node.errors import Usage
from netsky.node.service.plist import LOOP, heart_plist_text, plist_text
from netsky.node.service.recipe import (
    FOR_A_PERSON,
    RESTARTS_MAX,
    Recipe,
    differences,
    read_recipe,
    service_name,
)
from netsky.node.service.unit import exec_line, heart_timer_text, heart_unit_text, unit_text

from tests.needs import program

GOLDEN = Path(__file__).parent / "golden"

PLAIN = Recipe(
    "/home/ada/.netsky",
    ("/home/ada/.local/bin/netsky",),
    "/home/ada/.local/bin:/usr/local/bin:/usr/bin:/bin",
    {"netsky": "/home/ada/.local/bin/netsky", "git": "/usr/bin/git", "unshare": "/usr/bin/unshare"},
)
ODD = Recipe(
    '/home/ada/a "home" of 100% & $HOME <more> --x',
    ("/opt/my tools/100%/python3", "-m", "netsky.node.cli.main"),
    "/opt/my tools/bin:/opt/50%/b$n:/usr/bin",
    {"python": "/opt/my tools/100%/python3"},
    no_new_privileges=False,
)
CASES = {"plain": PLAIN, "odd": ODD}


def texts(recipe: Recipe) -> dict[str, str]:
    return {
        "service": unit_text(recipe, "netsky.service"),
        "plist": plist_text(recipe, "local.netsky", recipe.home + "/logs/daemon.out"),
        "heart-service": heart_unit_text(recipe, "netsky-heart.service", "netsky.service"),
        "heart-timer": heart_timer_text(recipe, "netsky-heart.timer"),
        "heart-plist": heart_plist_text(recipe, "local.netsky.heart", recipe.home + "/logs/daemon.out"),
    }


@pytest.mark.parametrize("name", sorted(CASES))
@pytest.mark.parametrize("kind", ["service", "plist", "heart-service", "heart-timer", "heart-plist"])
def test_a_recipe_gives_this_text(name: str, kind: str) -> None:
    """NETSKY_GOLDEN=write writes the files anew; the change is read as a diff."""
    text = texts(CASES[name])[kind]
    file = GOLDEN / f"{name}.{kind}"
    if os.environ.get("NETSKY_GOLDEN") == "write":
        file.write_text(text)
    assert text == file.read_text()


@pytest.mark.parametrize("recipe", CASES.values(), ids=CASES)
@pytest.mark.parametrize("kind", ["service", "plist", "heart-service", "heart-timer", "heart-plist"])
def test_a_file_gives_back_what_it_was_made_from(recipe: Recipe, kind: str) -> None:
    assert read_recipe(texts(recipe)[kind]) == recipe


@pytest.mark.parametrize("text", ["", "[Service]\nExecStart=/bin/true\n", "# netsky-recipe: {}", "netsky-recipe: {]}"])
def test_a_file_of_somebody_else_gives_none(text: str) -> None:
    assert read_recipe(text) is None


def test_a_plist_says_the_same_after_reading_as_before() -> None:
    found: dict[str, Any] = plistlib.loads(texts(ODD)["plist"].encode())
    assert found["ProgramArguments"] == ["/bin/sh", "-c", LOOP, "netsky", *ODD.start_words]
    assert found["EnvironmentVariables"] == {"PATH": ODD.path}
    assert (found["RunAtLoad"], found["KeepAlive"], found["ExitTimeOut"]) == (True, False, 20)


@pytest.mark.parametrize("recipe", CASES.values(), ids=CASES)
def test_systemd_finds_no_fault_in_the_unit(recipe: Recipe, tmp_path: Path) -> None:
    """Its own check wants the program to be there: one of the same odd name is."""
    there = tmp_path / "my tools" / "100%"
    there.mkdir(parents=True)
    (there / "netsky").symlink_to("/bin/true")
    moved = Recipe(recipe.home, (str(there / "netsky"),), recipe.path, {}, recipe.no_new_privileges)
    written = {
        "netsky.service": unit_text(moved, "netsky.service"),
        "netsky-heart.service": heart_unit_text(moved, "netsky-heart.service", "netsky.service"),
        "netsky-heart.timer": heart_timer_text(moved, "netsky-heart.timer"),
    }
    for name, text in written.items():
        (tmp_path / name).write_text(text)
    command = [program("systemd-analyze"), "verify", "--user", "--man=no", *(str(tmp_path / name) for name in written)]
    environ = os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_systemd_would_have_found_one(tmp_path: Path) -> None:
    file = tmp_path / "netsky.service"
    file.write_text(unit_text(PLAIN, "netsky.service").replace("KillMode=mixed", "KillMode=kindly"))
    command = [program("systemd-analyze"), "verify", "--user", "--man=no", str(file)]
    environ = os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert "kindly" in done.stderr


def test_a_command_line_is_quoted_as_systemd_reads_it() -> None:
    assert exec_line(("/bin/a", "plain", "two words", "100%", "$HOME", 'a"b')) == (
        '/bin/a plain "two words" "100%%" "$$HOME" "a\\"b"'
    )


@pytest.mark.parametrize(
    "change", [{"home": "/a\nb"}, {"path": "/a\\b"}, {"command": ("/a\x00b",)}, {"command": ("/opt/$x/netsky",)}]
)
def test_what_no_file_can_carry_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(Usage, match=r"service file can carry|dollar sign"):
        Recipe(**({"home": "/h", "command": ("/n",), "path": "/bin"} | change))


def test_a_home_has_one_name_and_two_homes_have_two() -> None:
    assert service_name("/home/a/.netsky", "/home/a/.netsky") == "netsky"
    names = [
        service_name(home, "/home/a/.netsky") for home in ("/srv/.netsky", "/srv/Über uns", "/tmp/.netsky", "/srv/…")
    ]
    assert len(set(names)) == 4
    assert all(re.fullmatch(r"netsky(-[a-z0-9]+)*-[0-9a-f]{8}", name) for name in names)


def test_differences_name_the_program_and_both_places() -> None:
    shell = Recipe(
        PLAIN.home, ("/opt/netsky",), "/x:/y:/z:/w:/usr/bin", {"netsky": "/opt/netsky", "bwrap": "/bin/bwrap"}
    )
    assert differences(PLAIN, PLAIN) == []
    said = differences(PLAIN, shell)
    assert [sentence.partition(":")[0] for sentence in said] == ["bwrap", "git", "netsky", "unshare", "PATH"]
    assert "/home/ada/.local/bin/netsky" in said[2]
    assert "/opt/netsky" in said[2]
    assert said[-1] == "PATH: this shell looks into /x, /y, /z and 1 more, the service does not"


# The loop that stands in a launchd agent, by the shell of this machine. Its waits are cut to nothing.


def loop(script: str, tmp_path: Path) -> list[str]:
    """The command line around a node that is this script; each of its starts leaves a line in `starts`."""
    script = f"echo x >> {tmp_path}/starts; {script}"
    return ["/bin/sh", "-c", LOOP.replace("sleep 2", "sleep 0"), "netsky", "/bin/sh", "-c", script]


def starts(tmp_path: Path) -> int:
    return len((tmp_path / "starts").read_text().splitlines())


@pytest.mark.parametrize("code", [0, *FOR_A_PERSON])
def test_the_loop_ends_where_starting_again_changes_nothing(code: int, tmp_path: Path) -> None:
    done = subprocess.run(loop(f"exit {code}", tmp_path), check=False, timeout=20)
    assert (done.returncode, starts(tmp_path)) == (code, 1)


@pytest.mark.parametrize(("script", "code"), [("exit 70", 70), ("kill -9 $$", 137)])
def test_the_loop_starts_a_failed_node_three_times_more(script: str, code: int, tmp_path: Path) -> None:
    done = subprocess.run(loop(script, tmp_path), check=False, timeout=20, stderr=subprocess.DEVNULL)
    assert (done.returncode, starts(tmp_path)) == (code, 1 + RESTARTS_MAX)


def test_the_loop_forgets_failures_that_are_older_than_the_window(tmp_path: Path) -> None:
    """By a date of its own, which moves on by an hour with each look."""
    date = tmp_path / "date"
    date.write_text(f"#!/bin/sh\necho x >> {tmp_path}/looks; echo $(($(wc -l < {tmp_path}/looks) * 3600))\n")
    date.chmod(0o755)
    argv = loop(f"[ $(wc -l < {tmp_path}/starts) -lt 9 ] && exit 70; exit 0", tmp_path)
    assert "/bin/date" in argv[2]
    argv[2] = argv[2].replace("/bin/date", str(date))
    done = subprocess.run(argv, check=False, timeout=20)
    assert (done.returncode, starts(tmp_path)) == (0, 9)


def test_the_loop_hands_a_stop_on_and_waits_for_the_node(tmp_path: Path) -> None:
    node = "trap 'echo ended >> $FILE; exit 0' TERM; echo ready >> $FILE; while :; do sleep 0.05; done"
    file = tmp_path / "said"
    file.touch()
    with subprocess.Popen(loop(node, tmp_path), env=os.environ | {"FILE": str(file)}) as process:
        until = time.monotonic() + 20
        while "ready" not in file.read_text():
            assert time.monotonic() < until
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert file.read_text().splitlines() == ["ready", "ended"]
    assert starts(tmp_path) == 1
