"""Zonal statistics of a change map over parcels: change levels, GeoJSON and CSV."""

import csv
import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shapely

from candela.eo.ellipsoid import ellipsoidal_area
from candela.eo.raster.grid import Grid
from candela.eo.vector.files import read_features
from candela.eo.vector.parcels import CLASSES, Parcel, ParcelStatistics, place_parcels
from candela.eo.vector.tables import harmless
from candela.errors import blamed_on
from candela.models.change.kind import Kind

LEVELS = (0.1, 0.5)  # shares of changed area; lower limits of levels 2 and 3
LARGEST_DISTORTION = 0.01  # of areas by the projection; that of UTM is about 0.001
DIGITS = 4  # of a statistic
DEGREE_DIGITS = 7  # of a coordinate: about a centimetre
CLASS_NAMES = tuple(
    f"change_share_{100 * k // CLASSES}_{100 * (k + 1) // CLASSES}" for k in range(CLASSES)
)
ID_COLUMN = "feature_id"  # of the table; GeoJSON features have an id
COLUMNS = (
    "change_level",
    "change_mean",
    "change_p90",
    "change_share",
    *CLASS_NAMES,
    "change_kind",
    "change_kind_share",
    "change_valid_fraction",
    "change_area_m2",
    "change_note",
)


@dataclass(frozen=True)
class MeasuredParcel:
    """A parcel with its zonal statistics.

    Attributes
    ----------
    parcel : Parcel
    statistics : ParcelStatistics
    metre : float
        The unit of the image's reference system in metres; NaN if that is degrees.
    """

    parcel: Parcel
    statistics: ParcelStatistics
    metre: float

    @property
    def level(self) -> int | None:
        """1 (less than a tenth of the valid area changed), 2, or 3 (half of it or more)."""
        return change_level(self.statistics)

    @property
    def area_m2(self) -> float | None:
        """Area in the image's projection; on the ellipsoid where that distorts it by over 1 %."""
        if self.parcel.outline is None:
            return None
        true, flat = ellipsoidal_area(self.parcel.outline), self.parcel.area * self.metre**2
        return flat if abs(flat - true) <= LARGEST_DISTORTION * true else true

    @property
    def kind(self) -> tuple[Kind | None, float | None]:
        """The most frequent kind of change, and its share of the valid area; None without any."""
        shares = {Kind(k): share for k, share in self.statistics.class_shares.items()}
        shares.pop(Kind.UNCHANGED, None)
        return max(shares.items(), key=lambda item: item[1], default=(None, None))

    def values(self) -> dict[str, Any]:
        """Return the statistics as JSON values, by the names in ``COLUMNS``."""
        found = self.statistics
        shares = found.shares or (None,) * CLASSES
        area = self.area_m2
        kind, kind_share = self.kind
        columns = (
            self.level,
            *map(_rounded, (found.mean, found.p90, found.share_above_half, *shares)),
            None if kind is None else kind.label,
            _rounded(kind_share),
            _rounded(found.valid_fraction),
            None if area is None else round(area, 1),
        )
        return dict(zip(COLUMNS, (*columns, self._note()), strict=True))

    def _note(self) -> str | None:
        if not self.parcel.note and self.statistics.mean is None:
            return "no valid pixel of the images lies in it"
        return self.parcel.note or None


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, DIGITS)


def change_level(statistics: ParcelStatistics) -> int | None:
    """Return the change level of a parcel, 1 to 3, by the changed share of its valid area.

    Level 1: share below 0.1; level 2: from 0.1; level 3: from 0.5. A pixel has changed at a
    probability of 0.5 or more. None where no pixel is valid.
    """
    changed = statistics.share_above_half
    return None if changed is None else 1 + sum(changed >= limit for limit in LEVELS)


def open_parcels(path: Path, grid: Grid) -> list[Parcel]:
    """Read parcels and place them on the grid of a map.

    Raises
    ------
    InputError
        With ``parcels`` to blame; see ``read_features`` and ``place_parcels``.
    """
    with blamed_on("parcels"):
        return place_parcels(read_features(path), grid)


def measured(
    parcels: Sequence[Parcel], statistics: Sequence[ParcelStatistics], grid: Grid
) -> list[MeasuredParcel]:
    """Return the parcels with their statistics."""
    assert grid.crs is not None  # parcels were placed
    metre = float(grid.crs.linear_units_factor[1]) if grid.crs.is_projected else math.nan
    return [
        MeasuredParcel(parcel, found, metre)
        for parcel, found in zip(parcels, statistics, strict=True)
    ]


def write_geojson(path: Path, parcels: Sequence[MeasuredParcel]) -> None:
    """Write the parcels with attributes and statistics as GeoJSON (RFC 7946: WGS 84)."""
    outlines = _outlines(parcels)
    with path.open("w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [\n')
        for number, (each, outline) in enumerate(zip(parcels, outlines, strict=True)):
            head = json.dumps({"type": "Feature", "id": each.parcel.id})[:-1]
            properties = json.dumps(
                each.parcel.properties | each.values(), ensure_ascii=False, allow_nan=False
            )
            file.write(",\n" if number else "")
            file.write(f'{head}, "geometry": {outline}, "properties": {properties}}}')
        file.write("\n]}\n")


def _outlines(parcels: Sequence[MeasuredParcel]) -> Iterator[str]:
    for each in parcels:
        outline = each.parcel.outline
        if outline is None:
            yield "null"
        else:
            short = shapely.transform(outline, lambda degrees: degrees.round(DEGREE_DIGITS))
            yield shapely.to_geojson(shapely.orient_polygons(short))


def write_table(path: Path, parcels: Sequence[MeasuredParcel]) -> None:
    """Write one row of CSV for each parcel: id, attributes, statistics."""
    own = dict.fromkeys(name for each in parcels for name in each.parcel.properties)
    names = [name for name in own if name not in {ID_COLUMN, *COLUMNS}]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([ID_COLUMN, *map(harmless, names), *COLUMNS])
        for each in parcels:
            attributes = [_cell(each.parcel.properties.get(name)) for name in names]
            writer.writerow([harmless(each.parcel.id), *attributes, *each.values().values()])


def _cell(value: object) -> object:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return harmless(value)


def summary(parcels: Sequence[MeasuredParcel]) -> dict[str, object]:
    """Return the number of parcels of each level, as JSON values."""
    levels = Counter(each.level for each in parcels)
    return {
        "count": len(parcels),
        "levels": {str(level): levels[level] for level in range(1, len(LEVELS) + 2)},
        "without_data": levels[None],
        "with_note": sum(bool(each.parcel.note) for each in parcels),
    }
