"""The files that a change map gives for parcels."""

from collections.abc import Sequence
from pathlib import Path

from candela.eo.raster.grid import Grid
from candela.models.change.parcels import MeasuredParcel, write_geojson, write_table
from candela.models.change.parcels_picture import Background, draw_parcels


def write_parcels(
    found: Sequence[MeasuredParcel], grid: Grid, background: Background, stem: Path
) -> dict[str, Path]:
    """Write the outputs of parcels: GeoJSON, table and preview; ``stem`` and an ending each."""
    outputs = {
        "parcels": stem.with_suffix(".geojson"),
        "parcels_table": stem.with_suffix(".csv"),
        "parcels_preview": stem.with_suffix(".png"),
    }
    write_geojson(outputs["parcels"], found)
    write_table(outputs["parcels_table"], found)
    draw_parcels(outputs["parcels_preview"], found, grid, background)
    return outputs
