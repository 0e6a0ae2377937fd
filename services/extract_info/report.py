"""A series as JSON and as a table."""

import csv
from pathlib import Path
from typing import Any

from candela.eo.s2.metadata import TIME
from candela.eo.vector.tables import harmless
from candela.services.extract_info.algorithm import Observation, Pair, Scene, Series

COLUMNS = ("scene", "before", "after", "before_date", "after_date", "days")


def to_document(series: Series) -> dict[str, Any]:
    """Return the JSON document: scenes with their images, pairs, what was left out, notes."""
    return {
        "scenes": [_scene(scene) for scene in series.scenes],
        "pairs": [_pair(pair) for pair in series.pairs],
        "left_out": [item._asdict() for item in series.left_out],
        "notes": list(series.notes),
    }


def write_table(path: Path, series: Series) -> None:
    """Write the pairs as CSV, one line each."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for pair in series.pairs:
            writer.writerow({name: harmless(value) for name, value in _pair(pair).items()})


def _scene(scene: Scene) -> dict[str, Any]:
    crs, transform, shape = scene.grid
    return {
        "scene": scene.name,
        "crs": crs.to_string() if crs else None,
        "transform": list(transform)[:6],
        "rows": shape.rows,
        "cols": shape.cols,
        "images": [_image(item) for item in scene.observations],
    }


def _image(item: Observation) -> dict[str, Any]:
    data = item.metadata
    return {
        "image": item.image,
        "sensing_time": data.sensing_time.strftime(TIME),
        "platform": data.platform,
        "relative_orbit": data.relative_orbit,
        "level": data.level,
        "processing_baseline": data.processing_baseline,
        "product_id": data.product_id,
    }


def _pair(pair: Pair) -> dict[str, Any]:
    return {
        "scene": pair.scene,
        "before": pair.before.image,
        "after": pair.after.image,
        "before_date": pair.before.metadata.sensing_time.date().isoformat(),
        "after_date": pair.after.metadata.sensing_time.date().isoformat(),
        "days": pair.days,
    }
