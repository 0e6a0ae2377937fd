"""How far two ways to label the same patches agree."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Confusion:
    """Counts of pairs of labels.

    Attributes
    ----------
    codes : tuple of str
        The labels, of rows and columns alike.
    counts : ndarray, shape (labels, labels), int64
        Rows are the truth (or the earlier date), columns what is compared with it.
    """

    codes: tuple[str, ...]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, pairs: Sequence[tuple[str, str, int]]) -> "Confusion":
        """Count (row label, column label, how often)."""
        codes = tuple(sorted({code for row, col, _ in pairs for code in (row, col)}))
        place = {code: index for index, code in enumerate(codes)}
        counts = np.zeros((len(codes), len(codes)), np.int64)
        for row, col, count in pairs:
            counts[place[row], place[col]] += count
        return cls(codes, counts)

    @property
    def accuracy(self) -> float:
        """Share of pairs that agree; NaN without pairs."""
        total = self.counts.sum()
        return float(np.trace(self.counts) / total) if total else float("nan")

    @property
    def kappa(self) -> float:
        """Agreement beyond chance [1]_, at most 1; NaN where chance alone explains all.

        References
        ----------
        .. [1] Cohen, J. (1960). A coefficient of agreement for nominal scales. Educ. Psychol.
           Meas. 20(1), 37-46. https://doi.org/10.1177/001316446002000104
        """
        total = self.counts.sum()
        if not total:
            return float("nan")
        by_chance = float(self.counts.sum(axis=0) @ self.counts.sum(axis=1) / total**2)
        return (self.accuracy - by_chance) / (1 - by_chance) if by_chance < 1 else float("nan")

    def recall(self) -> dict[str, float]:
        """Return for each label the share of its row that agrees; NaN if the row is empty."""
        return self._shares(self.counts.sum(axis=1))

    def precision(self) -> dict[str, float]:
        """Return for each label the share of its column that agrees; NaN if it is empty."""
        return self._shares(self.counts.sum(axis=0))

    def rows(self) -> list[dict[str, Any]]:
        """Return a table: one row for each label, one column for each label."""
        return [
            {"label": code, **dict(zip(self.codes, counts.tolist(), strict=True))}
            for code, counts in zip(self.codes, self.counts, strict=True)
        ]

    def _shares(self, totals: NDArray[np.int64]) -> dict[str, float]:
        return {
            code: float(right / total) if total else float("nan")
            for code, right, total in zip(self.codes, np.diag(self.counts), totals, strict=True)
        }
