"""Probes measure a snapshot of a stack of networks; the verdict judges the curves of one run."""

from nnlab.diagnostics.presets import PRESETS, measure
from nnlab.diagnostics.probe import Measurement, Probe

__all__ = ["PRESETS", "Measurement", "Probe", "measure"]
