"""The memory of a series as a file: a GeoTIFF of whole numbers, with what it is of in its tags."""

import datetime as dt
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.windows import Window

from candela.eo.raster.grid import Grid
from candela.eo.raster.images import create_image
from candela.eo.sar.images import SarStack, Track
from candela.errors import InputError

from .history import SpreadPrior, Whole, change_bands, expectation_bands
from .seasons import Seasons

VERSION = "1"
NO_VALUE = -32768  # no band has it
_TAG = "SAR_CHANGE_SERIES"


@dataclass(frozen=True)
class SeriesDescription:
    """What a series is of.

    Attributes
    ----------
    polarisations : tuple of str
    seasons : str
    track : Track
    calibration : str
    dates : tuple of date
        All that were added, in order.
    used : tuple of str
        Seasons that dates were added of.
    prior : SpreadPrior, optional
        None before the first date.
    """

    polarisations: tuple[str, ...]
    seasons: Seasons
    track: Track
    calibration: str
    dates: tuple[dt.date, ...] = ()
    used: tuple[str, ...] = ()
    prior: SpreadPrior | None = None

    def added(self, date: dt.date, season: str) -> "SeriesDescription":
        """Return the description with one date more."""
        used = self.used if season in self.used else (*self.used, season)
        return replace(self, dates=(*self.dates, date), used=used)

    def bands(self) -> tuple[str, ...]:
        """Return the names of the bands of a state."""
        return (*self.expectation_bands(), *change_bands(self.polarisations))

    def expectation_bands(self) -> tuple[str, ...]:
        """Return the names of those that a date is compared with."""
        return expectation_bands(self.used, self.polarisations)

    def to_tags(self) -> dict[str, str]:
        """Return the tags of a state; numbers are exact."""
        assert self.prior is not None
        document = {
            "version": VERSION,
            "polarisations": self.polarisations,
            "seasons": self.seasons,
            "track": self.track,
            "calibration": self.calibration,
            "dates": [date.isoformat() for date in self.dates],
            "used": self.used,
            "variance": self.prior.variance,
            "freedom": self.prior.freedom,
            "learned": self.prior.dates,
        }
        return {_TAG: json.dumps(document)}

    @classmethod
    def from_image(cls, image: rasterio.DatasetReader) -> "SeriesDescription":
        """Read the description of a state.

        Raises
        ------
        InputError
            If the image is no state, or that of another version.
        """
        name = Path(image.name).name
        try:
            document = json.loads(image.tags().get(_TAG, ""))
            version = document["version"]
            description = cls._read(document) if version == VERSION else None
        except (ValueError, TypeError, KeyError, AttributeError):
            version, description = "", None
        if version and version != VERSION:
            raise InputError(
                f"{name} is a state of version {version}, expected {VERSION}: begin anew", "state"
            )
        whole = set(image.dtypes) == {"int16"}
        if description is None or image.descriptions != description.bands() or not whole:
            raise InputError(
                f"{name} is no state of a series; expected the output state of an earlier run",
                "state",
            )
        return description

    @classmethod
    def _read(cls, document: dict[str, Any]) -> "SeriesDescription":
        prior = SpreadPrior(
            tuple(map(float, document["variance"])),
            tuple(map(float, document["freedom"])),
            int(document["learned"]),
        )
        description = cls(
            tuple(map(str, document["polarisations"])),
            document["seasons"],
            Track(*map(str, document["track"])),
            str(document["calibration"]),
            tuple(map(dt.date.fromisoformat, document["dates"])),
            tuple(map(str, document["used"])),
            prior,
        )
        counts = {len(prior.variance), len(prior.freedom), len(description.polarisations)}
        if len(counts) > 1 or not description.dates or not description.used:
            raise ValueError
        return description


def check_state(
    image: rasterio.DatasetReader, known: SeriesDescription, stack: SarStack, seasons: Seasons
) -> None:
    """Refuse images that do not go on with a series.

    Raises
    ------
    InputError
        If grid, polarisations, seasons, orbit or calibration differ, or a date is not later.
    """
    first = stack.acquisitions[0]
    name = first.names[0]
    difference = Grid.of(image).difference(stack.grid)
    if difference:
        raise InputError(f"{name} is not on the grid of the state: {difference}", "images")
    missing = set(known.polarisations) - set(stack.polarisations)
    if missing:
        raise InputError(
            f"{name} has {', '.join(stack.polarisations)}; the state was made of "
            f"{', '.join(known.polarisations)}",
            "images",
        )
    if seasons != known.seasons:
        raise InputError(
            f"seasons is {seasons}; the state was made with {known.seasons}", "seasons"
        )
    for mine, its in zip(known.track, first.track, strict=True):
        if mine and its and mine != its:
            raise InputError(
                f"{name} is of orbit {first.track}, the state of {known.track}; expected images "
                "of one relative orbit and direction: run one series for each",
                "images",
            )
    if known.calibration and first.calibration and known.calibration != first.calibration:
        raise InputError(
            f"{name} is {first.calibration}, the state was made of {known.calibration}", "images"
        )
    if first.date is not None and first.date <= known.dates[-1]:
        raise InputError(
            f"{name} is of {first.date}; the state has dates up to {known.dates[-1]}, and later "
            "dates alone can be added",
            "images",
        )


def read_bands(
    image: rasterio.DatasetReader | None, names: Sequence[str], window: Window
) -> dict[str, Whole]:
    """Read bands of a state by name; those that it does not have yet are 0."""
    shape = (int(window.height), int(window.width))
    present = [] if image is None else [name for name in names if name in image.descriptions]
    bands = {name: np.zeros(shape, np.int16) for name in names}
    if image is not None and present:
        indexes = [image.descriptions.index(name) + 1 for name in present]
        bands |= dict(zip(present, image.read(indexes, window=window), strict=True))
    return bands


def create_state(
    path: Path, grid: Grid, description: SeriesDescription
) -> AbstractContextManager[rasterio.io.DatasetWriter]:
    """Create the file of a state; its tags come last, when the prior is known."""
    return create_image(path, grid, dtype="int16", nodata=NO_VALUE, bands=description.bands())
