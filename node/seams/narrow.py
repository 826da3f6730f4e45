"""What a program gives up just before it starts: limits that the kernel keeps, and system calls that lead outside.

Called by the keeper in the child. Standard library alone, like the keeper itself.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import struct

TYPE_CHECKING = False  # what describes types is slow to load, and this is loaded in front of every program
if TYPE_CHECKING:
    from collections.abc import Iterable

    from netsky.node.seams.gauge import Bounds

    Step = tuple[int, int, int, int]

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
FILES_MAX = 4096
"""Open at once by one process: a build has hundreds."""
SPARE_TASKS = 16
"""Between the bound, at which the keeper ends all of it, and the kernel's wall behind it."""
NICE = 5
"""The node that says it is alive comes before whatever computes on the same machine."""
FIRST_TO_GO = "1000"
"""To the kernel that runs out of memory, before anything else of this user."""

AUDIT_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7, "riscv64": 0xC00000F3}
GENERIC = {
    "socket": 198, "add_key": 217, "request_key": 218, "keyctl": 219, "perf_event_open": 241, "bpf": 280,
    "userfaultfd": 282, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
}  # fmt: skip
NUMBERS = {
    "x86_64": GENERIC
    | {
        "socket": 41, "add_key": 248, "request_key": 249, "keyctl": 250, "perf_event_open": 298, "bpf": 321,
        "userfaultfd": 323,
    },
    "aarch64": GENERIC,
    "riscv64": GENERIC,
}  # fmt: skip
"""Keys of the kernel belong to the user and not to a namespace; the rest is where kernels are broken into, and none of
it is missed: whoever asks is told that this kernel has none, and does without."""

FAMILIES = (1, 2, 10, 16)
"""Of sockets: Unix, IPv4, IPv6, netlink. A virtual machine's line to its host (AF_VSOCK) passes network namespaces."""

X32 = 0x40000000
LOAD, JUMP_EQUAL, JUMP_GREATER_EQUAL, RETURN = 0x20, 0x15, 0x35, 0x06
ALLOW, DENY = 0x7FFF0000, 0x00050000
EPERM, ENOSYS, EAFNOSUPPORT = 1, 38, 97
AT_NUMBER, AT_ARCHITECTURE, AT_FIRST_ARGUMENT = 0, 4, 16


def narrow(bounds: Bounds, *, fenced: bool) -> None:
    """Raises OSError where the system does not do it: then the program does not start."""
    machine = os.uname().machine
    if fenced and machine not in NUMBERS:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if bounds.door >= 0:
        os.write(bounds.door, b"0")  # into the control group; whoever wrote is inside
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _at_most(resource.RLIMIT_FSIZE, bounds.file)
    _at_most(resource.RLIMIT_NOFILE, FILES_MAX)
    os.nice(NICE)
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as score:
            score.write(FIRST_TO_GO)
    except OSError:
        pass  # a system without; the bounds hold all the same
    if fenced:  # in a user namespace of its own the kernel counts the processes of that alone
        _at_most(resource.RLIMIT_NPROC, bounds.processes + SPARE_TASKS)
        install(calls_filter(machine))


def _at_most(what: int, most: int) -> None:
    hard = resource.getrlimit(what)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (most, most))


def calls_filter(machine: str) -> list[Step]:
    """A program for the kernel's filter: [code, jump if true, jump if false, value]. KeyError for other machines."""
    numbers = NUMBERS[machine]
    steps: list[Step] = [
        (LOAD, 0, 0, AT_ARCHITECTURE),
        (JUMP_EQUAL, 1, 0, AUDIT_ARCHITECTURE[machine]),
        (RETURN, 0, 0, DENY | EPERM),  # another architecture's calls have other numbers
        (LOAD, 0, 0, AT_NUMBER),
        (JUMP_GREATER_EQUAL, 0, 1, X32),
        (RETURN, 0, 0, DENY | EPERM),
    ]
    for name, number in numbers.items():
        if name != "socket":
            steps += [(JUMP_EQUAL, 0, 1, number), (RETURN, 0, 0, DENY | ENOSYS)]
    steps += [(JUMP_EQUAL, 1, 0, numbers["socket"]), (RETURN, 0, 0, ALLOW), (LOAD, 0, 0, AT_FIRST_ARGUMENT)]
    for family in FAMILIES:
        steps += [(JUMP_EQUAL, 0, 1, family), (RETURN, 0, 0, ALLOW)]
    return [*steps, (RETURN, 0, 0, DENY | EAFNOSUPPORT)]


def install(steps: Iterable[Step]) -> None:
    code = b"".join(struct.pack("=HBBI", *step) for step in steps)
    held = ctypes.create_string_buffer(code, len(code))
    head = struct.pack("@HP", len(code) // 8, ctypes.addressof(held))
    libc = ctypes.CDLL(None, use_errno=True)
    for words in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, head, 0, 0)):
        if libc.prctl(*words) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
