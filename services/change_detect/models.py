"""The models that a request can choose: an encoder, what is compared, and the rule to judge it."""

from typing import NamedTuple

from .algorithm import Rule

# Found on ten labelled pairs of cities: see docs/science/change-detection.md.
PREDICTION_RULE = Rule(share=0.5, centre=1.0, width=0.2)
DISTANCE_RULE = Rule(share=1.0, centre=1.0, width=0.2)


class Model(NamedTuple):
    """One way to compare two dates.

    Attributes
    ----------
    encoder : str
        The encoder that describes them.
    emphasis : tuple of str
        The maps of what one date does not predict of the other: see ``CrossPrediction``. Without
        any, the map is the distance of the codes.
    rule : Rule
        From magnitude to probability.
    """

    encoder: str
    emphasis: tuple[str, ...]
    rule: Rule = PREDICTION_RULE


MODELS = {
    "construction": Model("spectral", ("all", "visible", "beyond_shortwave", "agreed")),
    "vegetation": Model("spectral", ("all", "infrared")),
    "ten_metre": Model("visible", ("all", "visible", "agreed")),
    "fast": Model("compact", ("all", "visible", "beyond_shortwave", "agreed")),
    "distance": Model("spectral", (), DISTANCE_RULE),
}
