"""The one way in which this node runs git.

Nothing that somebody else wrote decides what a git of ours does: not the configuration of the system or the user, not
the environment of the node, no hook, template, filter, credential helper, replaced object or graft, and no protocol
but the one that a call allows. Each call has a deadline and a bound on what it may say, and runs through the processes
seam, so that it ends with the node, with everything that it started.

Several gits one after the other may be one call (`steps`): a shell whose whole text is made here, word by word quoted.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import trio
from netsky.node.seams.files import Files, HostileFile
from netsky.node.seams.processes import CannotStart, Exit, Process, Processes
from netsky.node.seams.real_processes import end
from netsky.node.work.repo.limits import CHUNK_BYTES, GIT_ERRORS_MAX, GIT_SAID_MAX, GIT_SECONDS

OLDEST = (2, 38)
"""`merge-tree --write-tree`; `core.fsync` came with 2.36."""

NO_ATTRIBUTES = (
    b"* !text !eol !crlf !filter !ident !working-tree-encoding !diff !merge !export-subst !export-ignore !whitespace\n"
)
"""For info/attributes of every repository of ours: it outranks the .gitattributes of whatever is checked out. A tree's
bytes are the files' bytes, and no driver is asked."""

_SETTINGS = {
    "advice.detachedHead": "false",
    "core.askPass": "",
    "core.attributesFile": "/dev/null",
    "core.autocrlf": "false",
    "core.excludesFile": "/dev/null",
    "core.fileMode": "true",
    "core.fsmonitor": "false",
    "core.fsync": "objects,derived-metadata,reference",  # git's own standard leaves out what is not packed
    "core.hooksPath": "/dev/null",
    "core.logAllRefUpdates": "false",  # whose history of a ref would grow for ever
    "core.precomposeUnicode": "false",
    "core.protectHFS": "true",
    "core.protectNTFS": "true",
    "core.quotePath": "true",
    "core.sshCommand": "ssh -oBatchMode=yes -oStrictHostKeyChecking=yes",
    "core.symlinks": "true",
    "core.untrackedCache": "false",
    "credential.helper": "",
    "diff.ignoreSubmodules": "all",
    "diff.renames": "false",
    # Faults of old commits that lead nowhere; whatever is wrong with a name or a mode is an error.
    **{
        f"fetch.fsck.{fault}": "ignore"
        for fault in (
            *("badTimezone", "missingEmail", "missingNameBeforeEmail", "missingSpaceBeforeDate", "zeroPaddedDate"),
            "zeroPaddedFilemode",
        )
    },
    "fetch.fsckObjects": "true",
    "fetch.recurseSubmodules": "false",
    "gc.auto": "0",
    "http.followRedirects": "initial",
    "init.defaultBranch": "main",
    "maintenance.auto": "false",
    "merge.directoryRenames": "false",
    "merge.renames": "false",  # older gits follow renames all the same: build.py looks where a change lands
    "pack.threads": "1",
    "protocol.allow": "never",
    "push.gpgSign": "false",
    "push.recurseSubmodules": "no",
    "submodule.recurse": "false",
    "transfer.fsckObjects": "true",
}

_ENVIRONMENT = {
    "GIT_ADVICE": "0",
    "GIT_ASKPASS": "/bin/false",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_EDITOR": "/bin/false",
    "GIT_GRAFT_FILE": "/dev/null",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_PAGER": "cat",
    "GIT_PROTOCOL_FROM_USER": "0",
    "GIT_TEMPLATE_DIR": "",
    "GIT_TERMINAL_PROMPT": "0",
    "HOME": "/nonexistent",
    "LC_ALL": "C",
    "SSH_ASKPASS": "/bin/false",
    "XDG_CONFIG_HOME": "/nonexistent",
}

FAILED_AT = 64
"""The shell ends with this number and that of the step that failed; git's own are 1 and 128 and 129."""


class GitError(Exception):
    """git did not do it. `code` is a stable word."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Where:
    """What a git works on: always said, never found."""

    repository: str
    index: str = ""
    work_tree: str = ""
    objects: str = ""
    """Where new objects go, if not into the repository, which is then only read."""
    allow: str = ""
    """The one protocol that it may speak."""

    def environment(self) -> dict[str, str]:
        env = {"GIT_DIR": self.repository, "GIT_ALLOW_PROTOCOL": self.allow or "none"}
        if self.index:
            env["GIT_INDEX_FILE"] = self.index
        if self.work_tree:
            env["GIT_WORK_TREE"] = self.work_tree
        if self.objects:
            env["GIT_OBJECT_DIRECTORY"] = self.objects
            env["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = os.path.join(self.repository, "objects")
        return env


@dataclass(frozen=True, slots=True)
class Step:
    """One git of a row of them. At most one of them reads the input of the call, the others these few lines."""

    args: tuple[str, ...]
    text: str = ""
    reads: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """What came of a call. `failed`: the number of the step that failed, from 0; None if all went well."""

    out: bytes
    failed: int | None
    errors: str

    def out_of(self, what: str) -> bytes:
        if self.failed is not None:
            raise GitError("git_failed", f"git could not {what}: {self.errors or 'it did not say why'}")
        return self.out


class Git:
    """One of these runs one git at a time: they share a file for what git says about its mistakes."""

    def __init__(self, processes: Processes, files: Files, folder: str, name: str, program: str = "git") -> None:
        """`folder` is one of ours; what git says about its mistakes stands in it, under `name`."""
        self._processes = processes
        self._files = files
        self._folder = folder
        self._name = f"{name}.log"
        self._program = program
        self._turn = trio.Lock()

    async def check_version(self) -> None:
        said = await self.run(Where("/nonexistent"), "version")
        words = said.out_of("say its version").decode("ascii", "replace").split()
        numbers = tuple(int(part) for part in words[2].split(".")[:2] if part.isdigit()) if len(words) > 2 else ()
        if numbers < OLDEST:
            raise GitError("git_too_old", f"git {'.'.join(map(str, OLDEST))} or later is needed; here is {words[2:3]}")

    async def run(
        self, where: Where, *args: str, stdin: bytes = b"", out_max: int = GIT_SAID_MAX,
        seconds: float = GIT_SECONDS, keep: Sequence[int] = (),
    ) -> Said:  # fmt: skip
        step = Step(args, reads=True)
        return await self.steps(where, [step], stdin=stdin, out_max=out_max, seconds=seconds, keep=keep)

    async def steps(
        self, where: Where, steps: Sequence[Step], *, stdin: bytes = b"", out_max: int = GIT_SAID_MAX,
        seconds: float = GIT_SECONDS, keep: Sequence[int] = (),
    ) -> Said:  # fmt: skip
        """One after the other, until one fails. GitError if that could not be found out."""
        async with self._turn:
            program = self._processes.which(self._program)
            if program is None:
                raise GitError("git_missing", "git is not installed; the node looks for it in its own PATH")
            alone = len(steps) == 1 and not steps[0].text
            argv = [program, *steps[0].args] if alone else ["/bin/sh", "-c", script(program, steps)]
            folder = self._files.open_folder(self._folder)
            try:
                self._files.remove(folder, self._name)
                out, ended = await self._talk(
                    argv, environment(program, where), stdin, out_max=out_max, seconds=seconds, keep=keep
                )
                failed = _failed(ended, len(steps))
                return Said(out, failed, "" if failed is None else self._errors(folder))
            finally:
                self._files.close(folder)

    async def _talk(
        self,
        argv: list[str],
        env: Mapping[str, str],
        stdin: bytes,
        *,
        out_max: int,
        seconds: float,
        keep: Sequence[int],
    ) -> tuple[bytes, Exit]:
        try:
            process = await self._processes.start(
                argv, env=env, cwd="/", stdin=bool(stdin), stdout=True,
                log=os.path.join(self._folder, self._name), log_bytes=GIT_ERRORS_MAX, keep=keep,
            )  # fmt: skip
        except CannotStart as error:
            raise GitError("git_missing", f"git cannot be started: {error}") from None
        out, ended = bytearray(), None
        try:
            with trio.move_on_after(seconds) as deadline:
                async with trio.open_nursery() as nursery:
                    if stdin:
                        nursery.start_soon(_feed, process, stdin)
                    while (piece := await process.receive(CHUNK_BYTES)) and len(out) <= out_max:
                        out += piece
                    nursery.cancel_scope.cancel()  # whoever said all that it says reads no more
                if len(out) <= out_max:
                    ended = await process.wait()
        finally:
            if ended is None:
                with trio.CancelScope(shield=True):
                    await end(process, 0)
        if ended is None:
            late = deadline.cancelled_caught
            code, what = (
                ("git_timed_out", f"took more than {seconds:g} s") if late else ("git_said_too_much", "said too much")
            )
            raise GitError(code, f"git {what}, and was ended")
        if ended.signal is not None:
            raise GitError("git_killed", f"git was {ended.sentence()}")
        return bytes(out), ended

    def _errors(self, folder: int) -> str:
        """One line of them, for a sentence; text from outside."""
        try:
            text = self._files.read(folder, self._name, 2 * GIT_ERRORS_MAX).decode("utf-8", "replace")
        except (OSError, HostileFile):
            return ""
        lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("hint:")]
        shown = without_secrets("; ".join(lines))
        return "".join(char if char.isprintable() else "?" for char in shown)[:500]


def without_secrets(text: str) -> str:
    """An address may hold a password; a sentence goes anywhere."""
    return re.sub(r"//[^/@\s]*@", "//", text)


def environment(program: str, where: Where) -> dict[str, str]:
    """All that a git of ours finds in its environment."""
    folders = dict.fromkeys([str(PurePosixPath(program).parent), "/usr/local/bin", "/usr/bin", "/bin"])
    settings = dict(_SETTINGS)
    if where.allow:
        settings[f"protocol.{where.allow}.allow"] = "always"
    numbered = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (name, value) in enumerate(settings.items()):
        numbered |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return {"PATH": ":".join(folders), **_ENVIRONMENT, **numbered, **where.environment()}


def script(program: str, steps: Sequence[Step]) -> str:
    """A shell's text that runs them and says by its end which one failed. Every word of it is quoted."""
    lines = []
    for number, step in enumerate(steps):
        command = shlex.join([program, *step.args])
        if step.text:
            command = f"printf %s {shlex.quote(step.text)} | {command}"
        elif not step.reads:
            command += " </dev/null"
        lines.append(f"{command} || exit {FAILED_AT + number}")
    return "\n".join(lines)


def _failed(ended: Exit, count: int) -> int | None:
    if ended.code == 0:
        return None
    assert ended.code is not None
    return ended.code - FAILED_AT if FAILED_AT <= ended.code < FAILED_AT + count else 0


async def _feed(process: Process, data: bytes) -> None:
    try:
        await process.send(data)
    except ConnectionError:
        return  # how it ended says why
    process.close_input()
