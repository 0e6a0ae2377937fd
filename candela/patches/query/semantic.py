"""Fuse the labels that models gave from each sensor alone, and compare them with the truth."""

from typing import Literal, NamedTuple

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.engine import Connection

from candela.eo.fusion import Classes, LabelPairs, Posteriors, fuse_posteriors
from candela.patches.query.analytics import best_label, labels_from
from candela.patches.query.confusion import Confusion
from candela.patches.query.selection import PatchFilter, restricted
from candela.patches.store.annotate import Source
from candela.patches.store.tables import PATCH

Rule = Literal["product", "pairs"]

SENSORS = ("s1", "s2")
FOLDS = 2


class _LabelledPatches(NamedTuple):
    """Patches that have a true label and labels of both models.

    Attributes
    ----------
    codes : list of str
        All labels.
    truth : ndarray, shape (n,), int64
        Indices of codes.
    posteriors : tuple of ndarray, shape (n, codes), float64
        Of each sensor.
    """

    codes: list[str]
    truth: Classes
    posteriors: tuple[Posteriors, ...]


def fused_confusion(
    connection: Connection,
    viewer: str,
    scheme: str,
    truth: Source,
    rule: Rule,
    where: PatchFilter | None = None,
) -> Confusion:
    """Compare the truth with labels that are fused from those of the models of S1 and of S2.

    Parameters
    ----------
    connection : Connection
        See ``PatchDatabase.reading_for``.
    viewer : str
        Who asks.
    scheme : str
        In which labels are compared.
    truth : Source
        Of the rows.
    rule : {"product", "pairs"}
        ``product`` multiplies the confidences of ``Source("model", "s1")`` and of ``"s2"``;
        ``pairs`` looks both labels up in a table of what such pairs were.
    where : PatchFilter, optional
        Which patches; its limit does not count.

    Notes
    -----
    A patch may have several labels of a model: their confidences are its posterior, and what they
    leave of 1 is shared by all other labels. The table of pairs is made of the other half of the
    patches (every other one), so no patch is told by its own truth; still neighbours look alike,
    and the figure is that of places like those which are known.
    """
    known = _labelled_patches(connection, viewer, scheme, truth, where or PatchFilter())
    if known is None:
        return Confusion.of([])
    if rule == "product":
        fused = fuse_posteriors(known.posteriors).argmax(axis=1)
    else:
        fused = _by_pairs(known)
    pairs = np.stack([known.truth, fused], axis=1)
    different, counts = np.unique(pairs, axis=0, return_counts=True)
    return Confusion.of(
        [
            (known.codes[row], known.codes[col], count)
            for (row, col), count in zip(different.tolist(), counts.tolist(), strict=True)
        ]
    )


def _by_pairs(known: _LabelledPatches) -> Classes:
    first, second = (each.argmax(axis=1) for each in known.posteriors)
    fold = np.arange(len(known.truth)) % FOLDS
    fused = np.zeros_like(known.truth)
    for number in range(FOLDS):
        here, rest = fold == number, fold != number
        table = LabelPairs.of(first[rest], second[rest], known.truth[rest], len(known.codes))
        fused[here] = table.apply(first[here], second[here])
    return fused


def _labelled_patches(
    connection: Connection, viewer: str, scheme: str, truth: Source, where: PatchFilter
) -> _LabelledPatches | None:
    """Return the patches that all three know; None without any."""
    true = best_label(viewer, scheme, truth, "truth")
    query = restricted(connection, sa.select(PATCH.c.id, true.c.code), viewer, where)
    query = query.join(true, true.c.patch_id == PATCH.c.id)
    truths = {row.id: row.code for row in connection.execute(query)}
    given = [_labels(connection, viewer, scheme, sensor, where) for sensor in SENSORS]
    patches = sorted(truths.keys() & given[0].keys() & given[1].keys())
    if not patches:
        return None
    codes = sorted(
        {truths[patch] for patch in patches}
        | {code for labels in given for patch in patches for code in labels[patch]}
    )
    place = {code: index for index, code in enumerate(codes)}
    posteriors = tuple(
        np.stack([_posterior(labels[patch], place) for patch in patches]) for labels in given
    )
    return _LabelledPatches(
        codes, np.array([place[truths[p]] for p in patches], np.int64), posteriors
    )


def _labels(
    connection: Connection, viewer: str, scheme: str, sensor: str, where: PatchFilter
) -> dict[int, dict[str, float]]:
    """Return how sure a sensor's model is of each label of each patch."""
    labels = labels_from(viewer, scheme, Source("model", sensor))
    columns = (PATCH.c.id, labels.c.code, sa.func.coalesce(labels.c.confidence, 1.0))
    query = restricted(connection, sa.select(*columns), viewer, where)
    found: dict[int, dict[str, float]] = {}
    for patch, code, confidence in connection.execute(
        query.join(labels, labels.c.patch_id == PATCH.c.id)
    ):
        of_patch = found.setdefault(patch, {})
        of_patch[code] = max(confidence, of_patch.get(code, 0.0))
    return found


def _posterior(labels: dict[str, float], place: dict[str, int]) -> NDArray[np.float64]:
    posterior = np.zeros(len(place))
    for code, confidence in labels.items():
        posterior[place[code]] = confidence
    others = len(place) - len(labels)
    if others:
        rest = max(0.0, 1 - posterior.sum()) / others
        posterior[[index for code, index in place.items() if code not in labels]] = rest
    return posterior
