"""What a process of the command line needs: streams that never fail, signals, and few garbage collections."""

import atexit
import gc
import io
import os
import signal
import sys
from typing import Any

__all__ = ["CUT_OFF", "INTERRUPTED", "NO_DISK", "catch_signals", "prepare"]

INTERRUPTED, NO_DISK = 130, 74
CUT_OFF = (INTERRUPTED, NO_DISK)
"""Exit status after Ctrl-C, and after a failed write: there is nothing more to do."""


def prepare() -> None:
    """Keep the streams writable, and collect garbage rarely."""
    # Imports and composed configs stay alive: searching them for cycles at Python's rate is a tenth of a start, and
    # searching everything once more at exit takes a second.
    gc.set_threshold(10_000, 20, 50)
    atexit.register(gc.freeze)
    _keep_streams()


def catch_signals() -> None:
    """Let Ctrl-C raise KeyboardInterrupt from here on, and SIGTERM, which cluster queues send, do the same."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)


class _Stream(io.FileIO):
    """A standard stream that drops what cannot be written: a closed pipe or a full disk must not stop training."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def _keep_streams() -> None:
    # If a standard stream was closed by the parent, a file opened later would take its number.
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, io.TextIOWrapper(io.FileIO(os.devnull, "w")))
            continue
        raw = _Stream(stream.fileno(), "w", closefd=False)
        buffer: Any = raw if stream.write_through else io.BufferedWriter(raw)
        wrapper = io.TextIOWrapper(
            buffer,
            encoding=stream.encoding,
            errors=stream.errors,
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )
        setattr(sys, name, wrapper)
