"""Ctrl-C and SIGTERM while a study runs: they stop it between two results, and never between two records."""

import contextlib
import signal
import threading
from collections.abc import Iterator

__all__ = ["Interrupts", "catch_interrupts"]


class Interrupts:
    """Whether the user has asked to stop; `check` raises KeyboardInterrupt if so."""

    def __init__(self) -> None:
        self._requested = False
        self._deferred = False

    def check(self) -> None:
        """Raise KeyboardInterrupt if a stop was requested. Python drops the exception in callbacks of the garbage
        collector, so the study also checks after each result."""
        if self._requested:
            raise KeyboardInterrupt

    def defer(self) -> None:
        """Only note requests from here on, until `resume`."""
        self._deferred = True

    def resume(self) -> None:
        """Raise KeyboardInterrupt if a stop was requested meanwhile, and at each request from here on."""
        self._deferred = False
        self.check()

    def _handle(self, *_: object) -> None:
        self._requested = True
        if not self._deferred:
            raise KeyboardInterrupt


@contextlib.contextmanager
def catch_interrupts() -> Iterator[Interrupts]:
    """Handle SIGINT, and SIGTERM where it is handled like SIGINT, while the context lasts.

    Other handlers and ignored signals are left alone, and so are all signals outside the main thread.
    """
    interrupts = Interrupts()
    in_main_thread = threading.current_thread() is threading.main_thread()
    caught = [
        number
        for number in (signal.SIGINT, signal.SIGTERM)
        if in_main_thread and signal.getsignal(number) is signal.default_int_handler
    ]
    for number in caught:
        signal.signal(number, interrupts._handle)
    try:
        yield interrupts
    finally:
        for number in caught:
            signal.signal(number, signal.default_int_handler)
