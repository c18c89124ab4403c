"""One stack trained by one worker: what raises becomes a `Failure` of its runs."""

import traceback
from dataclasses import dataclass

from nnlab.record.run import Run
from nnlab.study.run_stack import run_stack
from nnlab.study.stacking import Job, Stack

__all__ = ["Failure", "attempt"]


@dataclass(frozen=True)
class Failure:
    """A run that raised.

    Attributes
    ----------
    job : the run
    text : the traceback
    """

    job: Job
    text: str


def attempt(stack: Stack) -> list[Run | Failure]:
    """Train one stack; return a Run for each of its jobs, or a Failure for each if training raises."""
    jobs = stack.jobs
    try:
        return [*run_stack([job.config for job in jobs], jobs[0].data, [job.fingerprint for job in jobs])]
    except Exception:
        text = traceback.format_exc()
        return [Failure(job, text) for job in jobs]
