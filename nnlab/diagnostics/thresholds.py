"""The thresholds of the verdict.

The limits of the probes are defined beside them: `equality.NEAR` (equal units), `activity.SATURATED_SLOPE` and
`activity.SATURATED_SHARE` (saturated units), `events.BROKEN` (broken symmetry).
"""

__all__ = ["OVERFITTED_GAIN", "OVERFITTED_SHARE", "THRESHOLDS"]

THRESHOLDS = {
    "diverged: final cost over initial cost": 10.0,
    "dead: share of a layer's units": 0.5,
    "saturated: share of a layer's units": 0.5,
    "vanishing: signal ratio": 1e-3,
    "vanishing: update ratio of layer 1": 1e-4,
    "exploding: signal ratio": 1e3,
    "linear: affine residual": 1e-2,
    "plateau: distance to a reference cost": 1e-2,
    "healthy: share of the prior's cost": 0.05,
}
"""Where each rule starts to object. The signal thresholds separate vanishing from healthy trained networks (the
quantity is from Glorot & Bengio 2010). The shares of units are half of a layer."""

OVERFITTED_GAIN = 0.05
"""The verdict warns of overfitting if the training score beats the regularized affine model's, the test score beats it
by less than a share of that gain, and the gain in training or the loss on test data is more than this. Where classes
are separable, the affine model leaves no room for such a gain in training, but it does for the loss."""
OVERFITTED_SHARE = 0.25
"""The share of the gain in training that must carry over to test data."""
