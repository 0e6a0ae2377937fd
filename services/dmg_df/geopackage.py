"""A patch model as a GeoPackage: patches to look at in a GIS, vectors as bytes beside them."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pyogrio
import shapely

from candela.patches.store.model import GEOGRAPHIC, PatchModel

LAYER = "patch"
FEATURE_TABLES = """
CREATE TABLE feature_set (
  name TEXT PRIMARY KEY, version INTEGER NOT NULL, sensor TEXT NOT NULL,
  dimension INTEGER NOT NULL, parameters TEXT NOT NULL, scaler TEXT, reference TEXT NOT NULL
);
CREATE TABLE feature (
  id INTEGER PRIMARY KEY, patch INTEGER NOT NULL, feature_set TEXT NOT NULL, vector BLOB NOT NULL
);
INSERT INTO gpkg_contents (table_name, data_type, identifier, description) VALUES
  ('feature_set', 'attributes', 'feature_set', 'What the vectors are'),
  ('feature', 'attributes', 'feature', 'Vectors, float32, little-endian');
"""


def write_geopackage(path: Path, model: PatchModel) -> None:
    """Write patches, feature sets and vectors.

    Parameters
    ----------
    path : Path
        The file to be made.
    model : PatchModel
        What is written. Geographic coordinates are used, as in the database.
    """
    patches = model.patches
    fields = {
        "size": patches.size.astype(np.int32),
        "grid_row": patches.row.astype(np.int32),
        "grid_col": patches.col.astype(np.int32),
        "usable": patches.usable,
    }
    pyogrio.raw.write(
        path,
        shapely.to_wkb(patches.outlines),
        list(fields.values()),
        list(fields),
        layer=LAYER,
        driver="GPKG",
        geometry_type="Polygon",
        crs=GEOGRAPHIC,
    )
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA synchronous=OFF")  # a lost file is made again
        connection.executescript(FEATURE_TABLES)
        connection.executemany(
            "INSERT INTO feature_set VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    record.name, record.version, record.sensor, record.dimension,
                    json.dumps(record.parameters),
                    json.dumps(record.scaler._asdict()) if record.scaler else None,
                    record.reference,
                )
                for record in model.feature_sets
            ],
        )  # fmt: skip
        for record in model.feature_sets:
            vectors = model.features[record.name].astype("<f4", copy=False)
            connection.executemany(
                "INSERT INTO feature (patch, feature_set, vector) VALUES (?, ?, ?)",
                (
                    (fid, record.name, vector.tobytes())
                    for fid, vector in enumerate(vectors, 1)  # the writer counts from 1
                ),
            )
