"""The change models that a request can choose: encoder, emphasis and logistic curve."""

from typing import NamedTuple

from .detector import LogisticCurve

# Fitted to ten labelled pairs of cities: see docs/science/change-detection.md.
PREDICTION_CURVE = LogisticCurve(share=0.5, centre=0.95, width=0.2)
# Recall above one half of simulated harm to vegetation, at the cost of false alarms.
VEGETATION_CURVE = LogisticCurve(share=0.5, centre=0.87, width=0.2)
DISTANCE_CURVE = LogisticCurve(share=1.0, centre=1.0, width=0.2)


class ChangeModel(NamedTuple):
    """One way to compare two dates.

    Attributes
    ----------
    encoder : str
    emphasis : tuple of str
        Parts of the residual of the cross-prediction that enter the disagreement: see
        ``CrossPrediction``. Empty: the disagreement is the distance of the codes.
    curve : LogisticCurve
        From log magnitude to probability.
    extensive : bool
        Whether a change may cover a landscape: see ``CrossPrediction``.
    losses : bool
        Whether loss of vegetation counts as change, too: see ``Detector.log_odds``.
    """

    encoder: str
    emphasis: tuple[str, ...]
    curve: LogisticCurve = PREDICTION_CURVE
    extensive: bool = False
    losses: bool = False

    @property
    def kinds(self) -> bool:
        """Whether the kind of a change is told: from the residual of all ten bands."""
        return "shortwave" in self.emphasis or "beyond_shortwave" in self.emphasis


CONSTRUCTION = ("all", "visible", "beyond_shortwave", "agreed")
MODELS = {
    "generic": ChangeModel("balanced", CONSTRUCTION, losses=True),
    "construction": ChangeModel("balanced", CONSTRUCTION),
    "vegetation": ChangeModel(
        "balanced", ("all", "infrared", "shortwave"), VEGETATION_CURVE, extensive=True
    ),
    "ten_metre": ChangeModel("visible", ("all", "visible", "agreed")),
    "fast": ChangeModel("compact", CONSTRUCTION),
    "distance": ChangeModel("balanced", (), DISTANCE_CURVE),
}
