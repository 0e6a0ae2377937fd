"""SAR images of several dates on one grid, read window by window as intensity.

An acquisition is one date: one file with one or two bands, or one file per polarisation as
S1tiling makes them.
"""

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

from candela.eo.raster.grid import Grid, Shape
from candela.eo.raster.images import open_image
from candela.eo.raster.values import checked_grid, is_scaled, physical, read_numbers
from candela.eo.s2.metadata import sensing_time
from candela.eo.sar.polarisation import POLARISATIONS, UNNAMED, polarisations_of
from candela.eo.sar.scale import SCALES, Intensity, Known, Scale, guess_scale, intensity_of
from candela.errors import InputError, blamed_on

SAMPLE_SIDE = 512  # pixels of the reduced copy that the scale is decided on
_ORBIT = re.compile(r"_(ASC|DES)_(\d{3})_", re.IGNORECASE)  # in names of S1Tiling


class Track(NamedTuple):
    """Relative orbit and direction (``ASC``, ``DES``); empty where unknown."""

    relative_orbit: str
    direction: str

    def __str__(self) -> str:
        """Return both, as far as they are known."""
        return " ".join(part for part in (self.direction, self.relative_orbit) if part) or "unknown"


class Band(NamedTuple):
    """A band of an open file."""

    dataset: rasterio.DatasetReader
    number: int

    @property
    def name(self) -> str:
        """The file's name."""
        return Path(self.dataset.name).name

    @property
    def is_whole(self) -> bool:
        """Whether stored values are whole numbers that stand for themselves."""
        kind = np.dtype(self.dataset.dtypes[self.number - 1]).kind
        return kind in "iu" and not is_scaled(self.dataset, [self.number])

    @property
    def is_byte(self) -> bool:
        """Whether 0 is the darkest level: 8 bits, and the file does not declare 0 as nodata."""
        return (
            self.dataset.dtypes[self.number - 1] in {"uint8", "int8"}
            and self.dataset.nodata is None
        )

    def read(self, window: Window, shape: Shape | None = None) -> NDArray[np.float32]:
        """Read physical values, float32, shape (rows, cols); nodata is NaN."""
        numbers, missing = read_numbers(self.dataset, [self.number], window, shape)
        values: NDArray[np.float32] = numbers[0].astype(np.float32)
        empty = np.zeros(values.shape, np.bool_) if missing is None else missing
        if not self.is_byte:
            empty |= values == 0
        if self.dataset.nodata is not None:
            empty |= values == np.float32(self.dataset.nodata)
        if is_scaled(self.dataset, [self.number]):
            values = physical(self.dataset, [self.number], numbers)[0]
        values[empty] = np.nan
        return values


@dataclass(frozen=True, eq=False)
class Acquisition:
    """One date.

    Attributes
    ----------
    bands : dict of str to Band
        By polarisation.
    date : date, optional
    track : Track
    calibration : str
        The tag ``CALIBRATION``; empty where an image has none.
    is_filtered : bool
        Whether an image says that its speckle was filtered.
    """

    bands: dict[str, Band]
    date: dt.date | None
    track: Track
    calibration: str
    is_filtered: bool

    @property
    def names(self) -> list[str]:
        """The names of its files."""
        return list(dict.fromkeys(band.name for band in self.bands.values()))


@dataclass(frozen=True, eq=False)
class SarStack:
    """Acquisitions of one grid, track and calibration.

    Attributes
    ----------
    grid : Grid
    polarisations : tuple of str
        Those that all acquisitions have.
    acquisitions : list of Acquisition
        In the order given.
    scale : str
        ``intensity``, ``amplitude`` or ``db``, of all.
    """

    grid: Grid
    polarisations: tuple[str, ...]
    acquisitions: list[Acquisition]
    scale: Known

    def read(self, number: int, window: Window, shape: Shape | None = None) -> Intensity:
        """Read an acquisition as intensity, shape (polarisations, rows, cols).

        A pixel without data in one polarisation is NaN in all. With a ``shape`` the window is
        reduced to it.
        """
        bands = [self.acquisitions[number].bands[name] for name in self.polarisations]
        intensity = np.stack(
            [
                intensity_of(band.read(window, shape), self.scale, is_byte=band.is_byte)
                for band in bands
            ]
        )
        intensity[:, np.isnan(intensity).any(axis=0)] = np.nan
        return intensity


@contextmanager
def open_stack(
    dates: Sequence[Sequence[Path]], scale: Scale = "auto", *, locators: Sequence[str]
) -> Iterator[SarStack]:
    """Open the images of several dates and check that they can be compared.

    Parameters
    ----------
    dates : sequence of sequence of Path
        The files of each date.
    scale : str
        What the values are. ``auto``: intensity where an image has the tag ``CALIBRATION``, else
        decided once for all dates, see ``guess_scale``.
    locators : sequence of str
        The input that each date belongs to, for errors.

    Raises
    ------
    InputError
        If a file is no image or its polarisations are unclear, or if grids, tracks, calibrations or
        scales differ.
    """
    with ExitStack() as stack:
        acquisitions: list[Acquisition] = []
        grid: Grid | None = None
        for files, locator in zip(dates, locators, strict=True):
            with blamed_on(locator):
                datasets = [stack.enter_context(open_image(file)) for file in files]
                for dataset in datasets:
                    grid = _checked_grid(dataset, grid)
                acquisitions.append(_acquisition(datasets))
                _check_same_track(acquisitions[0], acquisitions[-1])
        assert grid is not None
        with blamed_on(locators[-1]):
            polarisations = _common(acquisitions)
            decided = _decided_scale(acquisitions, polarisations, scale)
        yield SarStack(grid, polarisations, acquisitions, decided)


def group_dates(files: Sequence[Path]) -> list[list[Path]]:
    """Group files by their sensing date, the earliest first.

    Files of one date and different polarisations are one acquisition.

    Raises
    ------
    InputError
        If a file has no date, in the tag ``SENSING_TIME`` or in its name.
    """
    groups: dict[dt.date, list[Path]] = {}
    for file in files:
        with open_image(file) as dataset:
            date = _date(dataset.tags(), file.name)
        if date is None:
            raise InputError(
                f"{file.name} has no date; expected the tag SENSING_TIME or YYYYMMDD in its name"
            )
        groups.setdefault(date, []).append(file)
    return [groups[date] for date in sorted(groups)]


def _checked_grid(dataset: rasterio.DatasetReader, first: Grid | None) -> Grid:
    grid = checked_grid(dataset)
    if first is not None and not first.matches(grid):
        name = Path(dataset.name).name
        raise InputError(f"{name} is not on the grid of the first image: {first.difference(grid)}")
    return grid if first is None else first


def _acquisition(datasets: Sequence[rasterio.DatasetReader]) -> Acquisition:
    """Gather the files of one date."""
    bands: dict[str, Band] = {}
    for dataset in datasets:
        for polarisation, index in polarisations_of(dataset).items():
            if polarisation in bands:
                raise InputError(
                    f"{bands[polarisation].name} and {Path(dataset.name).name} are both "
                    f"{polarisation}; expected one image of each polarisation for a date"
                )
            bands[polarisation] = Band(dataset, index)
    tags = [(dataset.tags(), Path(dataset.name).name) for dataset in datasets]
    tracks = {_track(*each) for each in tags}
    dates = {_date(*each) for each in tags}
    if len(tracks) > 1 or len(dates) > 1:
        found = ", ".join(sorted(str(each) for each in (tracks if len(tracks) > 1 else dates)))
        raise InputError(f"the files of one date are of different dates or orbits: {found}")
    return Acquisition(
        bands,
        dates.pop(),
        tracks.pop(),
        tags[0][0].get("CALIBRATION", ""),
        any(each.get("FILTERED", "").lower() == "true" for each, _ in tags),
    )


def _date(tags: Mapping[str, str], name: str) -> dt.date | None:
    time = sensing_time(tags, name)
    return None if time is None else time.date()


def _track(tags: Mapping[str, str], name: str) -> Track:
    """Read the track from the tags, else from a name of S1Tiling."""
    found = _ORBIT.search(name)
    direction, orbit = (found[1].upper(), found[2]) if found else ("", "")
    return Track(
        (tags.get("RELATIVE_ORBIT_NUMBER") or orbit).lstrip("0"),
        (tags.get("ORBIT_DIRECTION") or direction).upper()[:3],
    )


def _check_same_track(first: Acquisition, other: Acquisition) -> None:
    """Refuse what differs by geometry or calibration: it would be mapped as change."""
    for mine, its in zip(first.track, other.track, strict=True):
        if mine and its and mine != its:
            raise InputError(
                f"{other.names[0]} is of orbit {other.track}, {first.names[0]} of "
                f"{first.track}; expected images of one relative orbit and direction, since "
                "another viewing geometry changes backscatter"
            )
    if first.calibration and other.calibration and first.calibration != other.calibration:
        raise InputError(
            f"{other.names[0]} is {other.calibration}, {first.names[0]} {first.calibration}; "
            "expected one calibration"
        )


def _common(acquisitions: Sequence[Acquisition]) -> tuple[str, ...]:
    """Return the polarisations of all dates."""
    known = (*POLARISATIONS, *UNNAMED)
    common = tuple(name for name in known if all(name in each.bands for each in acquisitions))
    if common:
        return common
    found = {", ".join(each.bands): each.names[0] for each in reversed(acquisitions)}
    raise InputError(
        "expected a polarisation that all dates have; found "
        + ", ".join(f"{names} in {file}" for names, file in reversed(found.items()))
    )


def _decided_scale(
    acquisitions: Sequence[Acquisition], polarisations: Sequence[str], scale: Scale
) -> Known:
    if scale in SCALES:
        return scale
    if any(each.calibration for each in acquisitions):
        return "intensity"
    guesses: dict[Known, str] = {}
    for each in acquisitions:
        bands = [each.bands[name] for name in polarisations]
        sample = np.concatenate([_sample(band) for band in bands])
        guess = guess_scale(sample, is_whole=all(band.is_whole for band in bands))
        guesses.setdefault(guess, each.names[0])
    if len(guesses) > 1:
        found = ", ".join(f"{name}: {guess}" for guess, name in guesses.items())
        raise InputError(f"the dates have values of different scales ({found}); convert them first")
    return next(iter(guesses))


def _sample(band: Band) -> NDArray[np.float32]:
    """Return valid values of a reduced copy."""
    rows, cols = (min(SAMPLE_SIDE, side) for side in band.dataset.shape)
    whole = Window(0, 0, band.dataset.width, band.dataset.height)
    values = band.read(whole, Shape(rows, cols)).ravel()
    return values[np.isfinite(values)]
