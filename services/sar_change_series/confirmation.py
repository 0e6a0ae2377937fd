"""Change that is seen once, again, and often enough: how a pixel's status moves on."""

from typing import NamedTuple

import numpy as np

from .detection import Deviation, Floats, Mask, tail
from .history import CHANGE_BANDS, EVIDENCE, History, Whole

NONE, FIRST, PROVISIONAL, CONFIRMED, FINISHED = range(5)
STATUSES = ("none", "first", "provisional", "confirmed", "finished")
NO_DATA = 255
SUPPORT = 1.645  # standard deviations: one-sided level .05 for a place that is known
SMALLEST_RATIO = 0.03
LARGEST_COUNT = 32_000
LEAST_EVIDENCE = 2.0  # below it the evidence of a single date is not kept
CHANGED = 0.05  # prior share of changed pixels


class Rule(NamedTuple):
    """When change is reported.

    Attributes
    ----------
    level : float
        Share of unchanged pixels that a date may report.
    baseline : int
        Dates that a pixel learns before it reports.
    confirmations : int
        Dates that must support a change for it to be confirmed.
    """

    level: float
    baseline: int
    confirmations: int


def confirm(history: History, found: Deviation, watched: Mask, day: int, rule: Rule) -> Mask:
    """Move the status of all pixels on by one date.

    Parameters
    ----------
    history : History
        Changed in place.
    found : Deviation
        How the date departs from what was expected.
    watched : ndarray, shape (rows, cols), bool
        Where the date has data and the baseline is complete; other pixels stay as they are.
    day : int
        Of the date, see ``seasons.day_number``.
    rule : Rule

    Returns
    -------
    ndarray, shape (rows, cols), bool
        Where the date was reported as change, or supports one.

    Notes
    -----
    A pixel whose score passes the level is *first*. Further dates support it where the 3 x 3
    window around it departs in the same direction by 1.645 standard deviations: the place is known,
    so level .05 suffices. Two dates make it *provisional*, ``confirmations`` of them *confirmed*.
    As many dates in a row without support as there were with it, ``confirmations`` at most, end
    a change: it is forgotten, or *finished* where it was confirmed. A change in the other
    direction that passes the level begins anew.
    """
    bands = history.bands
    threshold = np.float32(-np.log(rule.level))
    today = np.where(found.score >= LEAST_EVIDENCE, found.score, np.float32(0))
    np.copyto(bands["evidence"], _stored(today), where=watched & ~_is_active(bands["status"]))

    # few pixels change or are about to
    place = np.nonzero(watched & ((found.score >= threshold) | _is_active(bands["status"])))
    old = {name: bands[name][place] for name in CHANGE_BANDS}
    score, support, direction = found.score[place], found.support[place], found.direction[place]
    status, length = old["status"], old["length"]
    flagged, active = score >= threshold, _is_active(status)
    same = old["direction"] == direction
    supports = active & same & (flagged | (np.abs(support) >= SUPPORT))
    begins = flagged & ~supports
    shown, missed = begins | supports, active & ~supports & ~begins

    new = dict(old)
    new["length"] = np.where(begins, 1, np.minimum(length + supports, LARGEST_COUNT))
    new["misses"] = np.where(shown, 0, np.minimum(old["misses"] + missed, LARGEST_COUNT))
    summed = old["evidence"] + supports * _stored(tail(support**2, np.inf, 1)).astype(np.int32)
    new["evidence"] = np.where(begins, _stored(score), np.minimum(summed, LARGEST_COUNT))
    new["since"] = np.where(begins, day, old["since"])
    new["latest"] = np.where(shown, day, old["latest"])
    new["direction"] = np.where(begins, direction, old["direction"])
    reached = np.where(new["length"] > 1, PROVISIONAL, FIRST)
    reached[new["length"] >= rule.confirmations] = CONFIRMED
    ended = missed & (new["misses"] >= np.minimum(length, rule.confirmations))
    forgotten = ended & (status < CONFIRMED)
    new["status"] = np.where(shown, reached, np.where(ended, FINISHED, status))
    for name in CHANGE_BANDS:
        bands[name][place] = np.where(forgotten, NONE, new[name])
    magnitude = magnitude_db(np.stack([band[place] for band in found.deviation]))
    history.store_magnitude(np.where(forgotten, 0, magnitude), place, shown | forgotten)
    reported = np.zeros(watched.shape, np.bool_)
    reported[place] = shown
    return reported


def _is_active(status: Whole) -> Mask:
    """Tell where a change is under way."""
    return np.asarray((status >= FIRST) & (status <= CONFIRMED))


def _stored(evidence: Floats) -> Whole:
    """Return evidence in the unit of its band."""
    return np.asarray(np.minimum(np.rint(evidence / EVIDENCE), LARGEST_COUNT), np.int16)


def magnitude_db(deviation: Floats) -> Floats:
    """Return a deviation u, natural logarithm of power by its cube root, in dB."""
    return np.asarray(30 * np.log10(np.maximum(1 + deviation / 3, SMALLEST_RATIO)), np.float32)


def probability(evidence: Floats) -> Floats:
    """Return the probability of change from evidence, -ln of a false-alarm probability p.

    Notes
    -----
    The Bayes factor of no change against change is at least -e p ln p for p < 1 / e [1]_; with a
    prior share c of changed pixels the probability is

        1 / (1 + (1 - c) / c * (-e p ln p)).

    References
    ----------
    .. [1] Sellke, T., Bayarri, M. J., Berger, J. O. (2001). Calibration of p values for testing
       precise null hypotheses. The American Statistician 55(1), 62-71.
       https://doi.org/10.1198/000313001300339950
    """
    surprise = np.maximum(evidence, np.float32(1))
    factor = surprise * np.exp(1 - surprise)
    return np.asarray(1 / (1 + (1 - CHANGED) / CHANGED * factor), np.float32)
