"""Errors that reach a person or a program, by exit code.

Every one says what failed (`message`) and what to do about it (`next`). Programming mistakes are assertions,
never one of these.
"""

from __future__ import annotations

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NOT_FOUND = 3
EXIT_UNREACHABLE = 4
EXIT_REFUSED = 5
EXIT_TIMED_OUT = 6
EXIT_CONFLICT = 7
EXIT_TRY_LATER = 8


class NetskyError(Exception):
    """What went wrong, for whoever asked. `code` is stable and for programs, the sentences are for people."""

    exit = EXIT_FAILED
    default_code = "failed"

    def __init__(self, message: str, *, next: str, code: str | None = None) -> None:  # noqa: A002 - the word in the answer
        super().__init__(message)
        self.message = message
        self.next = next
        self.code = code or self.default_code


class Usage(NetskyError):
    exit, default_code = EXIT_USAGE, "usage"


class NotFound(NetskyError):
    exit, default_code = EXIT_NOT_FOUND, "not_found"


class Unreachable(NetskyError):
    exit, default_code = EXIT_UNREACHABLE, "unreachable"


class Refused(NetskyError):
    exit, default_code = EXIT_REFUSED, "refused"


class TimedOut(NetskyError):
    exit, default_code = EXIT_TIMED_OUT, "timed_out"


class Conflict(NetskyError):
    exit, default_code = EXIT_CONFLICT, "conflict"


class TryLater(NetskyError):
    exit, default_code = EXIT_TRY_LATER, "try_later"


class Unusable(NetskyError):
    """The database cannot be used, and starting again changes nothing."""

    default_code = "database_unusable"

    def __init__(self, sentence: str, database: str) -> None:
        super().__init__(sentence, next=f"keep the file as it is and look at it: {database}")


BY_EXIT: dict[int, type[NetskyError]] = {
    kind.exit: kind for kind in (NetskyError, Usage, NotFound, Unreachable, Refused, TimedOut, Conflict, TryLater)
}
