"""What all tests share."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """A shell starts what runs in its background deaf to Ctrl-C, and every program that a test starts would inherit
    that. A handler is not inherited."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
