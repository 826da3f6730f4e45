"""The crash injector: stands between a node and its seams and speaks before each call.

    seams = interpose(real_seams(), before)

`before(call, args)` is called before each seam call, with its name ("files.write_new", "stream.send" …) and what it is
given; what it raises happens instead of the call, and a process that ends itself there is dead at exactly that point.
The state between two calls is the state after the first, so the calls are all the points there are.

`Life` is the in-process form: it counts, kills at a chosen call, and after that the node is deaf: nothing that its
`finally` blocks do is heard any more, its open files and locks are closed as a kernel would close them. A life that is
paused finds each of its calls that wait held back until it goes on; plain calls of the turn in which it is pass.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from dataclasses import fields, replace
from typing import Any

import trio
from netsky.node.seams import Seams

Before = Callable[[str, tuple[Any, ...]], None]
Counts = Callable[[str, tuple[Any, ...]], bool]
Held = Callable[[], trio.Event | None]
"""What a call that waits has to wait for besides."""

_PLAIN = (str, bytes, bytearray, int, float, bool, tuple, list, dict, type(None))


class Killed(BaseException):
    """This life of the node is over. Not an Exception: no task border may log it and go on."""


def was_killed(error: BaseException) -> bool:
    """Whether nothing but a death of this life is in it."""
    if isinstance(error, BaseExceptionGroup):
        return any(was_killed(part) for part in error.exceptions)
    return isinstance(error, Killed | trio.Cancelled)


def interpose(seams: Seams, before: Before, held: Held = lambda: None) -> Seams:
    """The same seams, each call announced."""
    return replace(
        seams,
        **{field.name: _Announced(getattr(seams, field.name), field.name, before, held) for field in fields(seams)},
    )


class _Announced:
    """Any object of a seam, its calls announced; what it hands out (streams, processes, …) is announced as well."""

    def __init__(self, target: Any, name: str, before: Before, held: Held) -> None:
        self._target = target
        self._name = name
        self._before = before
        self._held = held

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(self._target, attribute)
        if not callable(value):
            return value
        name, before = f"{self._name}.{attribute}", self._before

        def call(*args: Any, **kwargs: Any) -> Any:
            before(name, args)
            result = value(*args, **kwargs)
            if isinstance(result, _PLAIN):
                return result
            return self._finish(result) if inspect.iscoroutine(result) else self._announce(result)

        self.__dict__[attribute] = call  # found without us from now on: a simulated day has millions of calls
        return call

    async def _finish(self, pending: Coroutine[Any, Any, Any]) -> Any:
        try:
            await self._wait()
            result = await pending
        finally:
            pending.close()
        await self._wait()
        return self._announce(result)

    async def _wait(self) -> None:
        while (held := self._held()) is not None:
            await held.wait()

    def _announce(self, result: Any) -> Any:
        if isinstance(result, _PLAIN) or _is_value(result):
            return result
        return _Announced(result, type(result).__name__.lower(), self._before, self._held)


def _is_value(result: Any) -> bool:
    """A frozen dataclass does nothing; one that is not frozen may be a ledger, and then its calls are calls."""
    parameters = getattr(result, "__dataclass_params__", None)
    return parameters is not None and parameters.frozen


def writes(call: str, args: tuple[Any, ...]) -> bool:
    """Whether it is a transaction that changes something: what was promised too early was promised just before one."""
    return call.endswith(".transaction") and any(
        not statement.sql.startswith(("SELECT", "WITH", "PRAGMA")) for statement in args[0]
    )


class Life:
    """One life of a node in this process: counts its seam calls, or those of `counted` alone, and ends it before the
    chosen one (1 is the first)."""

    def __init__(
        self,
        seams: Seams,
        kill_before: int | None = None,
        counted: Callable[[str], bool] = lambda _: True,
        *,
        remembers: bool = True,
        killed: Callable[[], None] = lambda: None,
    ) -> None:
        """`remembers` the names of its calls; `killed` is called in the moment of its death."""
        self.count = 0
        self.calls: list[str] = []
        self.dead = False
        self._remembers = remembers
        self._killed = killed
        self._kill_before = kill_before
        self._left = 0
        self._only: Counts | None = None
        self._counted = counted
        self._descriptors = _Descriptors(seams)
        self._pause: trio.Event | None = None
        self.seams = interpose(replace(seams, files=self._descriptors.files), self._before, lambda: self._pause)

    def kill(self) -> None:
        """From now on nothing of this life reaches the world."""
        if self.dead:
            return
        self.dead = True
        self.go_on()
        self._descriptors.close_all()
        self._killed()

    def kill_in(self, calls: int, only: Counts | None = None) -> None:
        """Before the so-manieth call from now, of those that count."""
        self._left, self._only = calls, only

    def pause(self) -> None:
        if self._pause is None and not self.dead:
            self._pause = trio.Event()

    def go_on(self) -> None:
        if self._pause is not None:
            self._pause.set()
            self._pause = None

    def _before(self, call: str, args: tuple[Any, ...]) -> None:
        if self.dead:
            raise Killed(call)
        if not self._counted(call):
            return
        self.count += 1
        if self._remembers:
            self.calls.append(call)
        if self._left and (self._only is None or self._only(call, args)):
            self._left -= 1
            if not self._left:
                self.kill()
                raise Killed(call)
        if self._kill_before is not None and self.count >= self._kill_before:
            self.kill()
            raise Killed(call)


class _Descriptors:
    """Remembers what a life has open, to close it when the life ends, as the kernel does for a process."""

    def __init__(self, seams: Seams) -> None:
        self._open: set[int] = set()
        self._real = seams.files
        self.files: Any = self

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._real, attribute)

    def open_folder(self, path: str, under: int | None = None) -> int:
        return self._keep(self._real.open_folder(path, under))

    def open_file(self, folder: int, name: str) -> int:
        return self._keep(self._real.open_file(folder, name))

    def open_part(self, folder: int, name: str) -> int:
        return self._keep(self._real.open_part(folder, name))

    def lock(self, folder: int, name: str) -> int | None:
        descriptor = self._real.lock(folder, name)
        return None if descriptor is None else self._keep(descriptor)

    def close(self, descriptor: int) -> None:
        self._open.discard(descriptor)
        self._real.close(descriptor)

    def close_all(self) -> None:
        while self._open:
            self._real.close(self._open.pop())

    def _keep(self, descriptor: int) -> int:
        self._open.add(descriptor)
        return descriptor
