"""Completion scripts, made from the command table. They start no Python: pressing Tab must not wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netsky.node.cli.help import topics
from netsky.node.cli.output import Output
from netsky.node.cli.table import GLOBAL_OPTIONS, Argument, Command, Option, commands
from netsky.node.errors import EXIT_DONE, Usage

ACTORS_OFFERED_MAX = 50
"""More names than a person reads; a folder with thousands must not hold up the shell."""

_ACTORS = (
    'command ls -1 "${NETSKY_HOME:-$HOME/.netsky}/channels" 2>/dev/null | command head -n ' + f"{ACTORS_OFFERED_MAX}"
)


def completion(args: Any, out: Output) -> int:
    makers: dict[str, Callable[[list[Command]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
    maker = makers.get(args.shell)
    if maker is None:
        raise Usage(f"no completion for {args.shell!r}; there are bash, zsh and fish", next="netsky completion bash")
    script = maker(list(commands().values()))
    data = {"shell": args.shell, "script": script}
    out.answer("completion", f"completion for {args.shell}", data, lambda: out.line(script.rstrip()))
    return EXIT_DONE


def _first_words(table: list[Command]) -> list[str]:
    return list(dict.fromkeys(command.path[0] for command in table))


def _second_words(table: list[Command]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for command in table:
        if len(command.path) > 1:
            groups.setdefault(command.path[0], []).append(command.path[1])
    return groups


def _flags(command: Command) -> list[str]:
    every = (*command.options, *GLOBAL_OPTIONS)
    return [flag for option in every for flag in option.flags if flag.startswith("--")] + ["--help"]


def _words_of(item: Argument | Option) -> str:
    """The fixed words to offer for it, or "" if there are none."""
    if isinstance(item, Option) and item.choices:
        return " ".join(item.choices)
    if item.completes == "topic":
        return " ".join(topics())
    return "" if item.completes in ("", "actor", "file") else item.completes


def _bash_reply(item: Argument | Option) -> str:
    if item.completes == "actor":
        return 'COMPREPLY=($(compgen -W "$(_netsky_actors)" -- "$cur"))'
    if item.completes == "file":
        return 'COMPREPLY=($(compgen -f -- "$cur"))'
    return f'COMPREPLY=($(compgen -W "{_words_of(item)}" -- "$cur"))'


def bash(table: list[Command]) -> str:
    """For bash 3.2 (macOS) and later."""
    groups = _second_words(table)
    values = [
        f'        "{command.words}:{option.flags[-1]}") {_bash_reply(option)}; return ;;'
        for command in table
        for option in (*command.options, *GLOBAL_OPTIONS)
        if option.value and (option.completes or option.choices)
    ]
    flags = [f'        "{command.words}") flags="{" ".join(_flags(command))}" ;;' for command in table]
    arguments = [
        f'        "{command.words}") {_bash_reply(command.arguments[0])} ;;'
        for command in table
        if command.arguments and command.arguments[0].completes
    ]
    seconds = [
        f'        {first}) COMPREPLY=($(compgen -W "{" ".join(names)}" -- "$cur")); return ;;'
        for first, names in groups.items()
    ]
    return "\n".join(
        (
            '# netsky completion for bash:  eval "$(netsky completion bash)"',
            f"_netsky_actors() {{ {_ACTORS}; }}",
            "_netsky() {",
            '    local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}" verb="" word="" flags="" i=1',
            "    COMPREPLY=()",
            "    while [ $i -lt $COMP_CWORD ]; do",
            '        word="${COMP_WORDS[i]}"',
            "        i=$((i+1))",
            '        case "$word" in --home) i=$((i+1)); continue ;; -*) continue ;; esac',
            '        if [ -z "$verb" ]; then verb="$word"; case "$verb" in',
            f"            {'|'.join(groups)}) continue ;; esac; break; fi",
            '        verb="$verb $word"; break',
            "    done",
            '    case "$verb:$prev" in',
            *values,
            "    esac",
            '    case "$verb" in',
            '        "") if [ "${cur#-}" = "$cur" ]; then',
            f'            COMPREPLY=($(compgen -W "{" ".join(_first_words(table))}" -- "$cur")); return; fi ;;',
            *seconds,
            "    esac",
            '    case "$verb" in',
            *flags,
            f'        *) flags="{" ".join(flag for option in GLOBAL_OPTIONS for flag in option.flags[-1:])} --help" ;;',
            "    esac",
            '    if [ "${cur#-}" != "$cur" ]; then COMPREPLY=($(compgen -W "$flags" -- "$cur")); return; fi',
            '    case "$verb" in',
            *arguments,
            "    esac",
            "}",
            "complete -F _netsky netsky",
            "",
        )
    )


def _zsh_quoted(text: str) -> str:
    return text.replace("'", "'\\''").replace(":", "\\:").replace("[", "\\[").replace("]", "\\]")


def _zsh_action(item: Argument | Option) -> str:
    if item.completes == "actor":
        return "_netsky_actors"
    if item.completes == "file":
        return "_files"
    words = _words_of(item)
    return f"({words})" if words else " "


def _zsh_option(option: Option) -> str:
    text = f"[{_zsh_quoted(option.help)}]"
    value = f":{option.name}:{_zsh_action(option)}" if option.value else ""
    return f"'{option.flags[-1]}{text}{value}'" if not option.bare else f"'{option.flags[-1]}={text}{value}'"


def zsh(table: list[Command]) -> str:
    specs = []
    for command in table:
        marks = {"one": "", "optional": "", "some": "*", "any": "*"}
        arguments = [
            f"'{marks[argument.many]}:{argument.name.lower()}:{_zsh_action(argument)}'"
            for argument in command.arguments
        ]
        options = [_zsh_option(option) for option in (*command.options, *GLOBAL_OPTIONS)]
        specs.append(f"        '{command.words}') _arguments {' '.join((*options, *arguments))} ;;")
    firsts = " ".join(
        f"'{first}:{_zsh_quoted(next(c.summary for c in table if c.path[0] == first))}'"
        for first in _first_words(table)
    )
    groups = _second_words(table)
    seconds = [
        f"            {group}) local -a names; names=("
        + " ".join(f"'{c.path[1]}:{_zsh_quoted(c.summary)}'" for c in table if c.path[0] == group and len(c.path) > 1)
        + ") ;;"
        for group in groups
    ]
    return "\n".join(
        (
            "#compdef netsky",
            "# netsky completion for zsh:  netsky completion zsh > ~/.zfunc/_netsky, or eval it after compinit",
            f'_netsky_actors() {{ compadd -- ${{(f)"$({_ACTORS})"}} }}',
            "_netsky() {",
            "    local verb='' ",
            "    integer at=2",
            "    while (( at < CURRENT )); do",
            "        case $words[at] in --home) (( at += 2 )); continue ;; -*) (( at += 1 )); continue ;; esac",
            "        verb=$words[at]",
            f"        case $verb in {'|'.join(groups)})",
            '            if (( at + 1 < CURRENT )); then verb="$verb $words[at+1]"; (( at += 1 )); fi ;;',
            "        esac",
            "        break",
            "    done",
            "    if [[ -z $verb ]]; then",
            f"        local -a names; names=({firsts})",
            "        _describe command names",
            "        return",
            "    fi",
            "    if (( at + 1 == CURRENT )); then",
            "        case $verb in",
            *seconds,
            "        esac",
            "        if (( ${#names} )); then _describe command names; return; fi",
            "    fi",
            '    words=(netsky "${(@)words[at+1,-1]}"); (( CURRENT -= at - 1 ))',
            "    case $verb in",
            *specs,
            "    esac",
            "}",
            'if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _netsky "$@"; else compdef _netsky netsky; fi',
            "",
        )
    )


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def fish(table: list[Command]) -> str:
    groups = _second_words(table)
    lines = [
        "# netsky completion for fish:  netsky completion fish > ~/.config/fish/completions/netsky.fish",
        "function __netsky_actors",
        '    set -l home $NETSKY_HOME; test -n "$home"; or set home $HOME/.netsky',
        f'    command ls -1 "$home/channels" 2>/dev/null | command head -n {ACTORS_OFFERED_MAX}',
        "end",
        "function __netsky_verb",
        "    set -l words; set -l skip 0",
        "    for word in (commandline -opc)[2..-1]",
        "        if test $skip = 1; set skip 0; continue; end",
        "        switch $word; case --home; set skip 1; continue; case '-*'; continue; end",
        "        set -a words $word",
        f"        if not contains -- $words[1] {' '.join(groups)}; break; end",
        "        if test (count $words) = 2; break; end",
        "    end",
        '    test "$words" = "$argv"',
        "end",
        "complete -c netsky -f",
    ]
    for first in _first_words(table):
        summary = next(command.summary for command in table if command.path[0] == first)
        lines.append(f"complete -c netsky -n '__netsky_verb' -a {first} -d {_fish_quoted(summary)}")
    lines += [
        f"complete -c netsky -n '__netsky_verb {c.path[0]}' -a {c.path[1]} -d {_fish_quoted(c.summary)}"
        for c in table
        if len(c.path) > 1
    ]
    for command in table:
        when = f"-n '__netsky_verb {command.words}'"
        lines += [
            f"complete -c netsky {when} {_fish_offer(argument)}"
            for argument in command.arguments[:1]
            if argument.completes
        ]
        for option in command.options:
            offer = (" -x " + _fish_offer(option) if _fish_offer(option) != "-F" else " -r -F") if option.value else ""
            lines.append(
                f"complete -c netsky {when} -l {option.flags[-1][2:]}{offer} -d {_fish_quoted(option.help)}".replace(
                    "  ", " "
                )
            )
    for option in GLOBAL_OPTIONS:
        offer = " -r -F" if option.value else ""
        lines.append(f"complete -c netsky -l {option.flags[-1][2:]}{offer} -d {_fish_quoted(option.help)}")
    return "\n".join(lines) + "\n"


def _fish_offer(item: Argument | Option) -> str:
    if item.completes == "actor":
        return "-a '(__netsky_actors)'"
    if item.completes == "file":
        return "-F"
    words = _words_of(item)
    return f"-a {_fish_quoted(words)}" if words else ""
