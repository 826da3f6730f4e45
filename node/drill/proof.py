"""The lines of a drill: what was proved, what was not, and when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Word = Literal["proved", "not proved", "not run", "will"]


@dataclass(frozen=True, slots=True)
class Line:
    drill: str
    word: Word
    said: str
    ms: int
    """Since the drill began."""


class NotProved(Exception):
    """The rest of a drill makes no sense without this."""


@dataclass(slots=True)
class Proof:
    """Of one drill. Each line is told at once: somebody watches."""

    drill: str
    monotonic: Callable[[], int]
    tell: Callable[[Line], None]
    lines: list[Line] = field(default_factory=list)
    began: int = 0

    def __post_init__(self) -> None:
        self.began = self.monotonic()

    def will(self, said: str) -> None:
        self._line("will", said)

    def left_out(self, said: str) -> None:
        self._line("not run", said)

    def that(self, so: bool, said: str, instead: str = "") -> bool:
        """One thing that has to be so; `instead` is what was found if it is not."""
        self._line("proved" if so else "not proved", said if so or not instead else f"{said}: {instead}")
        return so

    def need(self, so: bool, said: str, instead: str = "") -> None:
        if not self.that(so, said, instead):
            raise NotProved

    def _line(self, word: Word, said: str) -> None:
        line = Line(self.drill, word, said, (self.monotonic() - self.began) // 1_000_000)
        self.lines.append(line)
        self.tell(line)
