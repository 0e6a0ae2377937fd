"""Compare two dates by the distance of their codes, as the original system did."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .views import View, upsample

Image = NDArray[np.float32]


@dataclass(frozen=True)
class CodeScale:
    """Mean and standard deviation of each feature of one date, by level."""

    centre: tuple[NDArray[np.float32], ...]
    spread: tuple[NDArray[np.float32], ...]

    @classmethod
    def of(cls, views: Sequence[View]) -> "CodeScale":
        """Measure the features of some windows of one date."""
        centre, spread = [], []
        for number in range(len(views[0].levels)):
            values = np.concatenate(
                [view.levels[number].reshape(len(view.levels[number]), -1) for view in views],
                axis=1,
            )
            centre.append(values.mean(axis=1))
            spread.append(np.maximum(values.std(axis=1), 1e-3))
        return cls(tuple(centre), tuple(spread))

    def apply(self, level: Image, number: int) -> Image:
        """Bring the features of one level to mean 0 and standard deviation 1."""
        centre, spread = self.centre[number], self.spread[number]
        return (level - centre[:, None, None]) / spread[:, None, None]


@dataclass(frozen=True)
class CodeDistance:
    """Root mean square difference of the standardised codes."""

    before: CodeScale
    after: CodeScale

    def __call__(self, before: View, after: View) -> Image:
        """Return one map, shape (1, rows, cols), in standard deviations of a feature."""
        rows, cols = before.guide.shape
        total = np.zeros((rows, cols), np.float32)
        for number, (first, second) in enumerate(zip(before.levels, after.levels, strict=True)):
            gap = self.before.apply(first, number) - self.after.apply(second, number)
            squares = np.einsum("frc,frc->rc", gap, gap)[None] / len(gap)
            total += upsample(squares, number)[0, :rows, :cols]
        return np.asarray(np.sqrt(total / len(before.levels))[None], np.float32)
