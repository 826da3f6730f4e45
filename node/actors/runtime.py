"""What a node asks of the thing that runs an actor's program. One answers now: any command.

A runtime says which program to start and judges how it went; it starts nothing itself. Adapters for agents that
report success in ways of their own stand behind the same two methods.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from netsky.envelope.limits import TEXT_BYTES_MAX
from netsky.node.db.actors import ActorRow
from netsky.node.seams.processes import Exit
from netsky.node.work.cell.cell import ENDED_FOR

ANSWER_BYTES_MAX = TEXT_BYTES_MAX
"""An answer is a text, and a text has at most 48 KiB."""


@dataclass(frozen=True, slots=True)
class Run:
    """One program that ran for one envelope."""

    exit: Exit
    said: bytes
    too_much: bool = False
    """It said more than an answer may have, and was ended for that."""
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    taken: bool
    answer: str = ""
    """For the sender; "" if there is nothing to say."""
    reason: str = ""
    """Why it was not taken, as a sentence."""
    code: str = ""
    again: bool = True
    """Whether another try can go differently."""


class Runtime(Protocol):
    def argv(self, actor: ActorRow) -> Sequence[str]: ...

    def judge(self, run: Run) -> Verdict: ...


class AnyCommand:
    """stdin: the envelope; stdout: the answer; exit 0: taken."""

    def argv(self, actor: ActorRow) -> Sequence[str]:
        return actor.command

    def judge(self, run: Run) -> Verdict:
        if run.too_much:
            sentence = f"its answer has more than {ANSWER_BYTES_MAX} bytes; larger things are attachments"
            return Verdict(False, reason=sentence, code="answer_too_large", again=False)
        if run.timed_out:
            return Verdict(False, reason="it took longer than its time limit and was ended", code="timed_out")
        if run.exit.exceeded:
            return Verdict(False, reason=f"the program {ENDED_FOR[run.exit.exceeded]}", code="program_failed")
        if run.exit.code != 0:
            return Verdict(False, reason=f"the program {run.exit.sentence()}", code="program_failed")
        return Verdict(True, answer=run.said.decode("utf-8", "replace").rstrip("\n"))
