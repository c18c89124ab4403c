"""Questions about nnlab itself. Each is a module to run.

speed       the core beside its peers: docs/benchmarks.md
sweeps      whole sweeps beside a naive one, and every way of launching them: docs/sweeps.md
loading     loading curves beside MLflow's client: docs/loading.md
probes      what watching costs: a section of docs/benchmarks.md
battery     the verdicts on networks whose state is known, beside four published rule sets: docs/battery.md;
            the cures of verdicts and rivals on random trainings: docs/cures.md
torture     sweeps killed at random moments
fuzz        wrong configs, command lines and data files
audit       known vulnerabilities of the pinned dependencies
proof       the figures in README.md
atlas       the pictures of docs/diagnostics.md
"""
