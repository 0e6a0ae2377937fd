"""Joint non-local means: the same weights average both dates.

An average over pixels that look alike on both dates keeps what differs between the dates: an area
that changed is averaged with areas that changed in the same way.
"""

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]


class Search(NamedTuple):
    """Where similar pixels are looked for, and how similarity is measured.

    Attributes
    ----------
    radius : int
        Of the search window, pixels.
    step : int
        Of its pixels beyond ``near``: every one (1), or every second one, as on a chess board (2).
    near : int
        Distance up to which every pixel is compared.
    patch : int
        Side of the patches that are compared, odd.
    bandwidth : float
        h^2: weights fall by 1/e where the mean squared distance exceeds the expected one by it.
    expected : float
        Mean squared distance of two pixels of the same mean.
    """

    radius: int
    step: int
    near: int
    patch: int
    bandwidth: float
    expected: float

    @property
    def reach(self) -> int:
        """Pixels that the result of a pixel depends on."""
        return self.radius + self.patch // 2

    def shifts(self) -> Iterator[tuple[int, int]]:
        """Yield half of the shifts; the others are their opposites."""
        for row in range(self.radius + 1):
            for col in range(-self.radius, self.radius + 1):
                if (row, col) <= (0, 0) or row * row + col * col > (self.radius + 0.5) ** 2:
                    continue
                if max(row, abs(col)) <= self.near or (row + col) % self.step == 0:
                    yield row, col


def joint_means(guides: Image, values: Image, valid: NDArray[np.bool_], search: Search) -> Image:
    """Average values over pixels with similar guides.

    The weight of a pixel j for a pixel i is

        w_ij = exp(-max(D_ij - expected, 0) / h^2),

    D_ij the mean over guides and patch of the squared differences. A pixel's own weight is 1.

    Parameters
    ----------
    guides : ndarray, shape (guides, rows, cols), float32
        Of all dates and polarisations, in units of the standard deviation of their speckle.
    values : ndarray, shape (values, rows, cols), float32
        What is averaged.
    valid : ndarray, shape (rows, cols), bool
        Other pixels have any finite guides and values, and take no part.
    search : Search

    Returns
    -------
    ndarray, shape (values, rows, cols), float32

    References
    ----------
    .. [1] Deledalle, C.-A., Denis, L., Tupin, F. (2009). Iterative weighted maximum likelihood
       denoising with probabilistic patch-based weights. IEEE TIP 18(12), 2661-2672.
       https://doi.org/10.1109/TIP.2009.2029593
    .. [2] Su, X., Deledalle, C.-A., Tupin, F., Sun, H. (2014). Two-step multitemporal nonlocal
       means for synthetic aperture radar images. IEEE TGRS 52(10), 6181-6196.
       https://doi.org/10.1109/TGRS.2013.2295431
    """
    rows, cols = valid.shape
    weight = None if valid.all() else valid.astype(np.float32)
    sums = values.copy() if weight is None else values * weight
    total = np.ones((rows, cols), np.float32) if weight is None else weight.copy()
    for row, col in search.shifts():
        if row >= rows or abs(col) >= cols:
            continue
        here = (slice(0, rows - row), slice(max(0, -col), cols - max(0, col)))
        there = (slice(row, rows), slice(max(0, col), cols - max(0, -col)))
        similarity = _weights(guides, here, there, search)
        if weight is not None:
            similarity *= weight[here]
            similarity *= weight[there]
        total[here] += similarity
        total[there] += similarity
        for value, target in zip(values, sums, strict=True):
            _accumulate(similarity, value[there], target[here])
            _accumulate(similarity, value[here], target[there])
    return np.asarray(sums / np.maximum(total, np.float32(1e-6)), np.float32)


def _weights(
    guides: Image, here: tuple[slice, slice], there: tuple[slice, slice], search: Search
) -> Image:
    """Return the weights of pairs of pixels."""
    distance: Image | None = None
    for guide in guides:
        difference = cv2.subtract(guide[here], guide[there])
        if distance is None:
            distance = cv2.multiply(difference, difference)
        else:
            cv2.accumulateSquare(difference, distance)
    assert distance is not None
    side = (search.patch, search.patch)
    distance = cv2.blur(distance, side, dst=distance, borderType=cv2.BORDER_REFLECT)
    distance *= np.float32(-1 / (search.bandwidth * len(guides)))
    distance += np.float32(search.expected / search.bandwidth)
    return np.asarray(cv2.exp(np.minimum(distance, 0, out=distance), distance), np.float32)


def _accumulate(weight: Image, value: Image, target: Image) -> None:
    cv2.accumulateProduct(weight, value, target)
