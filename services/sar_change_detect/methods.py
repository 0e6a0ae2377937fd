"""The methods of SarChangeDetect by name."""

from typing import NamedTuple

from candela.eo.sar.adaptive import fit_adaptive
from candela.eo.sar.detector import Detector
from candela.eo.sar.log_ratio import fit_log_ratio
from candela.eo.sar.significance import fit_significance
from candela.eo.sar.survey import PairSurvey


class Options(NamedTuple):
    """The parameters of a method: see process.yaml."""

    method: str
    false_alarm_rate: float
    looks: float | None
    multilook: int


def fit(surveyed: PairSurvey, options: Options) -> Detector:
    """Fit a method to a pair."""
    if options.method == "adaptive":
        return fit_adaptive(surveyed)
    if options.method == "log_ratio":
        return fit_log_ratio(surveyed, options.false_alarm_rate)
    return fit_significance(
        surveyed, options.false_alarm_rate, multilook=options.multilook, looks=options.looks
    )
