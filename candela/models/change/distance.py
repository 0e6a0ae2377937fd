"""Distance of codes: change as the distance of two dates in feature space [1]_.

References
----------
.. [1] Aubrun, M. et al. (2020). Unsupervised change detection on Sentinel-2 time series. ISESS.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from candela.models.code import double

from .kind import Signature
from .prediction import Disagreement, Indexes
from .views import Views

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class CodeScale:
    """Mean and standard deviation of each unit of the code, over one date.

    Attributes
    ----------
    centre, spread : ndarray, shape (units,), float32
    """

    centre: NDArray[np.float32]
    spread: NDArray[np.float32]

    @classmethod
    def of(cls, codes: Sequence[NDArray[np.float32]]) -> "CodeScale":
        """Estimate both from samples of the code, each of shape (pixels, units)."""
        joined = np.concatenate(codes)
        return cls(joined.mean(axis=0), np.maximum(joined.std(axis=0), 1e-3))

    def apply(self, code: Image) -> Image:
        """Standardise the units of a code (units, rows, cols)."""
        return (code - self.centre[:, None, None]) / self.spread[:, None, None]


@dataclass(frozen=True)
class CodeDistance:
    """Root mean square difference of the standardised codes u and v of both dates.

    d = sqrt(mean_k ((u_k - m_k) / s_k - (v_k - n_k) / t_k)^2), with mean and standard deviation of
    unit k over each date: s and t differ, so gain and offset of a unit cancel.
    """

    before: CodeScale
    after: CodeScale

    def fitted_to(self, views: Views, valid: Mask) -> "CodeDistance":  # noqa: ARG002
        """Return itself: there is nothing to fit to a window."""
        return self

    def signature(
        self,
        views: Views,  # noqa: ARG002
        found: Disagreement,  # noqa: ARG002
        rows: Indexes,  # noqa: ARG002
        cols: Indexes,  # noqa: ARG002
    ) -> Signature | None:
        """Return None: a distance has no spectrum."""
        return None

    def __call__(self, views: Views, valid: Mask) -> Disagreement:  # noqa: ARG002
        """Return d at 10 m, shape (rows, cols), float32, in standard deviations of a unit."""
        before, after = views.before, views.after
        rows, cols = before.guide.shape
        squares = np.empty((1, *before.code.inputs.shape[1:]), np.float32)
        for (strip, first), (_, second) in zip(
            before.code.strips(), after.code.strips(), strict=True
        ):
            gap = self.before.apply(first) - self.after.apply(second)
            squares[0, strip] = np.einsum("urc,urc->rc", gap, gap) / len(gap)
        return Disagreement(np.sqrt(double(squares)[0, :rows, :cols]))
