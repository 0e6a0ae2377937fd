"""The models that a request can choose: an encoder, what is compared, and the rule to judge it."""

from typing import NamedTuple

from .detector import Rule

# Found on ten labelled pairs of cities: see docs/science/change-detection.md.
PREDICTION_RULE = Rule(share=0.5, centre=0.95, width=0.2)
# Where simulated harm to vegetation is found more often than not, at some cost of false alarms.
VEGETATION_RULE = Rule(share=0.5, centre=0.87, width=0.2)
DISTANCE_RULE = Rule(share=1.0, centre=1.0, width=0.2)


class ChangeModel(NamedTuple):
    """One way to compare two dates.

    Attributes
    ----------
    encoder : str
        The encoder that describes them.
    emphasis : tuple of str
        What counts of what one date does not predict of the other: see ``CrossPrediction``.
        Without any, it is the distance of the codes.
    rule : Rule
        From magnitude to probability.
    extensive : bool
        Whether change may be as large as a landscape: see ``CrossPrediction``.
    """

    encoder: str
    emphasis: tuple[str, ...]
    rule: Rule = PREDICTION_RULE
    extensive: bool = False


MODELS = {
    "construction": ChangeModel("balanced", ("all", "visible", "beyond_shortwave", "agreed")),
    "vegetation": ChangeModel(
        "balanced", ("all", "infrared", "shortwave"), VEGETATION_RULE, extensive=True
    ),
    "ten_metre": ChangeModel("visible", ("all", "visible", "agreed")),
    "fast": ChangeModel("compact", ("all", "visible", "beyond_shortwave", "agreed")),
    "distance": ChangeModel("balanced", (), DISTANCE_RULE),
}
