"""The scripts are loaded by the shells themselves and asked as a person would by pressing Tab."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from netsky.node.cli.completion import ACTORS_OFFERED_MAX
from netsky.node.cli.table import commands

from tests.needs import program
from tests.node.cli.conftest import Run

pytestmark = pytest.mark.real

CASES = [
    ((), "chan", {"channel"}),
    ((), "s", {"send", "service", "sim", "status"}),
    (("service",), "", {"beat", "install", "status", "uninstall"}),
    (("channel",), "dr", {"drain"}),
    (("agent",), "", {"add", "ls", "rm", "logs"}),
    (("channel", "drain"), "wor", {"worker1", "worker2"}),
    (("--home", "/x", "channel", "drain"), "wor", {"worker1", "worker2"}),
    (("channel", "drain"), "--fo", {"--follow"}),
    (("send", "--kind"), "re", {"reply", "report"}),
    (("send", "--from"), "agent", {"agent0"}),
    (("help",), "exit", {"exit-codes"}),
    (("completion",), "", {"bash", "zsh", "fish"}),
]


@pytest.fixture
def channels(home: Path) -> Path:
    folder = home / "channels"
    for actor in ("agent0", "worker1", "worker2"):
        (folder / actor).mkdir(parents=True)
    return folder


def shell(argv: list[str], script: str) -> str:
    done = subprocess.run([*argv, script], capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr == ""
    return done.stdout


def ask_bash(run: Run, words: tuple[str, ...], current: str) -> set[str]:
    line = " ".join(f"'{word}'" for word in ("netsky", *words, current))
    ask = f'COMP_WORDS=({line}); COMP_CWORD={len(words) + 1}; _netsky; printf "%s\\n" "${{COMPREPLY[@]}}"'
    said = shell([program("bash"), "--norc", "-c"], f"{run('completion', 'bash').out}\n{ask}")
    return set(said.split())


@pytest.mark.parametrize(("words", "current", "offered"), CASES)
def test_bash_offers(words: tuple[str, ...], current: str, offered: set[str], run: Run, channels: Path) -> None:
    assert ask_bash(run, words, current) == offered


def ask_fish(run: Run, words: tuple[str, ...], current: str) -> set[str]:
    line = " ".join(("netsky", *words, current))
    said = shell([program("fish"), "--no-config", "-c"], f"{run('completion', 'fish').out}\ncomplete -C '{line}'")
    return {line.split("\t")[0] for line in said.splitlines()}


@pytest.mark.parametrize(("words", "current", "offered"), CASES)
def test_fish_offers(words: tuple[str, ...], current: str, offered: set[str], run: Run, channels: Path) -> None:
    assert ask_fish(run, words, current) == offered


ZSH_ASKS = r"""
zmodload zsh/zpty
zpty asked zsh -f -i
read_until() {
    local seen='' part
    while zpty -r asked part; do seen+=$part; [[ $seen == *$1* ]] && break; done
}
zpty -w asked "PS1=; unsetopt zle_bracketed_paste; autoload -Uz compinit; compinit -u -D; source $SCRIPT"
zpty -w asked "bindkey '^I' complete-word; zstyle ':completion:*' menu no; setopt no_auto_menu; LISTMAX=1000"
zpty -w asked "compadd() { builtin compadd -O found \"\$@\" 2>/dev/null"
zpty -w asked "print -rl -- found:\$^found >> $FOUND; builtin compadd \"\$@\" }"
zpty -w asked "print READ""Y"
read_until READY
zpty -w -n asked "$LINE"$'\t'
repeat 100; do [[ -s $FOUND ]] && break; sleep 0.05; done
zpty -w -n asked $'\x15'
zpty -w asked "print DON""E"
read_until DONE
zpty -d asked
"""


def ask_zsh(run: Run, words: tuple[str, ...], current: str, folder: Path) -> set[str]:
    script, found = folder / "script", folder / "found"
    script.write_text(run("completion", "zsh").out)
    found.write_text("")
    line = " ".join(("netsky", *words, current))
    setting = f"SCRIPT={script}; FOUND={found}; LINE='{line}'\n"
    shell([program("zsh"), "-f", "-c"], setting + ZSH_ASKS)
    return {line.removeprefix("found:") for line in found.read_text().splitlines()} - {""}


@pytest.mark.parametrize(("words", "current", "offered"), CASES)
def test_zsh_offers(
    words: tuple[str, ...], current: str, offered: set[str], run: Run, channels: Path, tmp_path: Path
) -> None:
    assert ask_zsh(run, words, current, tmp_path) == offered


def test_every_command_is_offered(run: Run, channels: Path) -> None:
    assert ask_bash(run, (), "") == {path[0] for path in commands()}
    for first in {path[0] for path in commands() if len(path) > 1}:
        assert ask_bash(run, (first,), "") == {path[1] for path in commands() if path[0] == first}


def test_a_folder_of_thousands_is_cut(run: Run, channels: Path) -> None:
    for number in range(100, 300):
        (channels / f"worker{number}").mkdir()
    assert len(ask_bash(run, ("channel", "drain"), "")) == ACTORS_OFFERED_MAX


def test_another_shell_is_refused_with_those_there_are(run: Run) -> None:
    ran = run("completion", "powershell")
    assert ran.code == 2
    assert "bash, zsh and fish" in ran.err
