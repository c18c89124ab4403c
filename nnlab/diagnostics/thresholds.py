"""The thresholds of the verdict.

The limits of the probes are defined beside them: `equality.NEAR` (equal units), `activity.SATURATED_SLOPE` and
`activity.SATURATED_SHARE` (saturated units), `events.BROKEN` (broken symmetry).
"""

__all__ = ["OFF_CENTRE", "ONE_CLASS", "OVERFITTED_GAIN", "OVERFITTED_SHARE", "THRESHOLDS"]

THRESHOLDS = {
    "diverged: final cost over initial cost": 10.0,
    "slow: efficiency": 0.9,
    "plateau: distance of every layer": 1e-3,
    "unscaled: far from scale 1": 10.0,
    "unscaled: a little from scale 1": 3.0,
    "unscaled: efficiency": 0.5,
    "dead: share of a layer's units": 0.5,
    "saturated: share of a layer's units": 0.5,
    "vanishing: signal ratio": 1e-3,
    "vanishing: distance of layer 1": 1e-2,
    "vanishing: update ratio of layer 1": 1e-4,
    "exploding: signal ratio": 1e3,
    "overshooting: efficiency": 0.25,
    "overshooting: efficiency of a restless cost": 0.75,
    "overshooting: rises": 0.3,
    "linear: affine residual": 1e-2,
    "linear: share of the gap to the affine model": 0.5,
    "plateau: distance to a reference cost": 1e-2,
    "unfinished: decline of the cost": 0.002,
    "healthy: share of the prior's cost": 0.05,
}
"""Where each rule starts to object. The signal thresholds separate vanishing from healthy trained networks (the
quantity is from Glorot & Bengio 2010). The shares of units are half of a layer."""

OFF_CENTRE = 1.0
"""A feature is off centre if its mean exceeds this many standard deviations; then the first cure is to standardize."""
ONE_CLASS = 0.98
"""The verdict warns if the network answers one class for more than this share of the examples."""
OVERFITTED_GAIN = 0.05
"""The verdict warns of overfitting if the training score beats the regularized affine model's, the test score beats it
by less than a share of that gain, and the gain in training or the loss on test data is more than this. Where classes
are separable, the affine model leaves no room for such a gain in training, but it does for the loss."""
OVERFITTED_SHARE = 0.25
"""The share of the gain in training that must carry over to test data."""
