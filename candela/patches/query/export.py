"""Answers as GeoJSON, CSV and tables."""

import csv
import datetime as dt
import importlib
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import shapely

from candela.eo.vector.tables import harmless
from candela.errors import UnsupportedError
from candela.patches.query.selection import FoundPatch


class Record(Protocol):
    """A named tuple."""

    def _asdict(self) -> dict[str, Any]: ...


Row = Record | Mapping[str, Any]

DIGITS = 7  # of longitude and latitude: centimetres


def to_geojson(patches: Sequence[FoundPatch]) -> str:
    """Return patches as a GeoJSON FeatureCollection (RFC 7946)."""
    features = [as_feature(patch, "patch") for patch in patches]
    return json.dumps({"type": "FeatureCollection", "features": features})


def as_feature(row: Row, key: str) -> dict[str, Any]:
    """Return what has an outline as a GeoJSON Feature, under the number that is called ``key``."""
    values = row if isinstance(row, Mapping) else row._asdict()
    return {
        "type": "Feature",
        "id": values[key],
        "geometry": json.loads(shapely.to_geojson(_rounded(values["outline"]))),
        "properties": _values(values, without=(key, "outline")),
    }


def to_csv(rows: Sequence[Row]) -> str:
    """Return rows as CSV (RFC 4180) with a header; geometry is left out.

    Text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    tables = [_values(row, without=("outline",)) for row in rows]
    if not tables:
        return ""
    file = io.StringIO()
    writer = csv.writer(file)
    names = list(tables[0])
    writer.writerow(map(harmless, names))
    writer.writerows([harmless(table.get(name)) for name in names] for table in tables)
    return file.getvalue()


def to_frame(rows: Sequence[Row]) -> Any:  # noqa: ANN401 - pandas's own
    """Return rows as a pandas DataFrame.

    Raises
    ------
    UnsupportedError
        If pandas is not installed.
    """
    try:
        pandas = importlib.import_module("pandas")
    except ModuleNotFoundError as error:
        raise UnsupportedError("tables need pandas, which is not installed here") from error
    return pandas.DataFrame([_values(row, without=("outline",)) for row in rows])


def _values(row: Any, *, without: tuple[str, ...]) -> dict[str, Any]:  # noqa: ANN401
    values = row if isinstance(row, Mapping) else row._asdict()
    return {name: _plain(value) for name, value in values.items() if name not in without}


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, dt.datetime) else value


def _rounded(outline: shapely.Geometry) -> shapely.Geometry:
    return shapely.transform(outline, lambda points: points.round(DIGITS))
