"""Time the core beside its peers, on one core with one BLAS thread; write docs/benchmarks.md (`make bench`).

The machine may be shared and its clock may drift, so contestants take turns within a round, times are medians over
the rounds, and a ratio is formed round by round from neighbours in time.
"""

from pathlib import Path
from typing import NamedTuple

__all__ = ["Disagreement", "check_agreement", "contestants", "main", "problem_of"]

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
ONE_THREAD = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}

NOTES, SKLEARN, TORCH = "the notes' code, written plainly", "scikit-learn MLPClassifier", "PyTorch, eager"
JAX, JAX_VMAP = "JAX, jit + scan, one run", "JAX, jit + scan + vmap of 16"
ALONE, STACKED, FLOOR = "nnlab, one run", "nnlab, stacked", "one np.tanh pass, same array"
RATIOS = {
    "notes / nnlab stacked": ([NOTES], STACKED),
    "nnlab stacked / JAX vmap": ([STACKED], JAX_VMAP),
    "nnlab stacked / best of JAX": ([STACKED], JAX, JAX_VMAP),
    "nnlab stacked / tanh pass": ([STACKED], FLOOR),
}
SIZES = (1, 2, 4, 8, 16, 32)
LEARNING_RATE = 0.1
TOLERANCE = {"float64": 1e-6, "float32": 1e-3}


class Disagreement(Exception):
    """Two contestants do not compute the same thing, so their times mean nothing."""


class Column(NamedTuple):
    """A network, and how many iterations one turn takes."""

    title: str
    hidden_size: int
    depth: int
    iterations: int
