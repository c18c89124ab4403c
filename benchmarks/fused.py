"""A contestant written in C: how far one fused, compiled kernel is from nnlab's NumPy. Measured, not shipped."""

import ctypes
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.peers import Contestant, Problem, Weights
from nnlab.network.costs import COSTS
from nnlab.network.parameters import Parameters

__all__ = ["FUSED", "Fused", "applies"]

FUSED = "one fused kernel in C (prototype)"
COMPILER = shutil.which("cc")
SOURCE = Path(__file__).with_suffix(".c")
OPTIONS = ("-O3", "-march=native", "-ffast-math", "-fopenmp-simd", "-fPIC")
KINDS = {"tanh": 0, "relu": 1, "sigmoid": 2}
REALS = {
    "float64": ("-DREAL=double", "-DTANH=tanh", "-DEXP=exp"),
    "float32": ("-DREAL=float", "-DTANH=tanhf", "-DEXP=expf"),
}


def applies(problem: Problem) -> bool:
    """Return whether there is a C compiler and the problem is one that the kernel is written for."""
    return COMPILER is not None and len(problem.start.sizes) == 3 and problem.start.sizes[-1] == 1


class Fused(Contestant):
    """`fused.c`, compiled for this machine and problem."""

    def __init__(self, problem: Problem, runs: int = 1) -> None:
        super().__init__(problem, runs)
        self.parameters = Parameters(problem.start.sizes, problem.start.flat[:runs].copy())
        library = self._compile()
        real = ctypes.c_double if problem.X.dtype == np.float64 else ctypes.c_float
        library.train.argtypes = [*[ctypes.c_int] * 4, real, *[ctypes.c_void_p] * 5]
        self.train, hidden = library.train, problem.start.sizes[1]
        self.X, self.sign = np.ascontiguousarray(problem.X), COSTS["binary"].encode(problem.Y)
        self.gradient = np.empty_like(self.parameters.flat[0])
        self.A = np.empty((hidden, library.block()), problem.X.dtype)

    def _compile(self) -> ctypes.CDLL:
        kind = KINDS[self.problem.activation]
        constants = (f"-DINPUTS={len(self.problem.X)}", f"-DACTIVATION={kind}", *REALS[self.problem.X.dtype.name])
        with tempfile.TemporaryDirectory() as folder:
            compiled, library = f"{folder}/fused.o", f"{folder}/fused.so"
            subprocess.run([str(COMPILER), *OPTIONS, *constants, "-c", str(SOURCE), "-o", compiled], check=True)
            # Linked with -ffast-math, loading it would flush subnormal numbers to zero in the whole process.
            subprocess.run([str(COMPILER), "-shared", compiled, "-o", library, "-lm"], check=True)
            return ctypes.CDLL(library)

    def advance(self) -> None:
        problem, m = self.problem, self.X.shape[1]
        memory = [array.ctypes.data for array in (self.X, self.sign, self.parameters.flat, self.gradient, self.A)]
        hidden = problem.start.sizes[1]
        self.train(self.runs, hidden, m, problem.iterations, problem.learning_rate / m, *memory)

    def weights(self) -> Weights:
        return self.parameters.as_dict()
