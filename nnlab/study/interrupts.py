"""Ctrl-C and SIGTERM while a study runs: they stop it between two results, and never between two records."""

import contextlib
import signal
import threading
from collections.abc import Iterator

__all__ = ["Interrupts", "catch_interrupts"]


class Interrupts:
    """The user's requests to stop; `check` raises KeyboardInterrupt if there was one."""

    def __init__(self) -> None:
        self._requested = False
        self._deferred = False

    def check(self) -> None:
        """Raise KeyboardInterrupt if a stop was requested. Python drops the exception in callbacks of the garbage
        collector, so the study also checks after each result."""
        if self._requested:
            raise KeyboardInterrupt

    def defer(self) -> None:
        """Only remember requests from here on, until `resume`."""
        self._deferred = True

    def resume(self) -> None:
        """Raise KeyboardInterrupt if a stop was requested meanwhile, and at each request from here on."""
        self._deferred = False
        self.check()

    def _handle(self, *_: object) -> None:
        self._requested = True
        if not self._deferred:
            raise KeyboardInterrupt


_caught_in_main_thread: list[Interrupts] = []
"""The requests that the main thread catches; empty unless a context is open."""


@contextlib.contextmanager
def catch_interrupts() -> Iterator[Interrupts]:
    """Catch SIGINT, and SIGTERM where it is handled like SIGINT, while the context lasts.

    An inner context shares the requests of the outer one. Other handlers and ignored signals are left alone, and so
    are all signals outside the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield Interrupts()
        return
    if _caught_in_main_thread:
        yield _caught_in_main_thread[0]
        return
    interrupts = Interrupts()
    caught = [
        number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is signal.default_int_handler
    ]
    _caught_in_main_thread.append(interrupts)
    for number in caught:
        signal.signal(number, interrupts._handle)
    try:
        yield interrupts
    finally:
        _caught_in_main_thread.clear()
        for number in caught:
            signal.signal(number, signal.default_int_handler)
