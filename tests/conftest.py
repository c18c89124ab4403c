"""One BLAS thread, and the same hypothesis examples in every test run."""

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: F401, E402  after the variables; a pytest plugin may have loaded it before them
from hypothesis import settings  # noqa: E402
from threadpoolctl import threadpool_limits  # noqa: E402

threadpool_limits(limits=1, user_api="blas")  # for that case: the variables are read only when BLAS is loaded

settings.register_profile("nnlab", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("nnlab")
