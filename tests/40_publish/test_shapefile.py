"""Tile indexes, read back by another library."""

import numpy as np
import pyogrio
import pytest
import shapely

from candela.publish.base import Layer
from candela.publish.mapserver import MapServerPublisher
from candela.publish.shapefile import LOCATION_BYTES, Tile, shapefile


@pytest.mark.parametrize("count", [1, 2, 1000])
def test_an_index_holds_outlines_locations_and_times(tmp_path, count) -> None:
    tiles = [
        Tile((i, 5.5, i + 1, 7), f"/data/ä {i}.tif", f"2020-01-01T00:{i % 60:02}:00Z")
        for i in range(count)
    ]
    for suffix, content in shapefile(tiles).items():
        (tmp_path / f"index.{suffix}").write_bytes(content)
    meta, _, shapes, values = pyogrio.raw.read(tmp_path / "index.shp", encoding="utf-8")
    assert list(meta["fields"]) == ["location", "time"]
    assert list(values[0]) == [tile.location for tile in tiles]
    assert list(values[1]) == [tile.time for tile in tiles]
    boxes = shapely.bounds(shapely.from_wkb(shapes))
    np.testing.assert_array_equal(boxes, [tile.outline for tile in tiles])
    assert pyogrio.read_info(tmp_path / "index.shp")["total_bounds"] == (0, 5.5, count, 7)


def test_a_path_that_no_index_holds_leaves_the_layer_out_of_its_series(
    tmp_path, dated_layer
) -> None:
    publisher = MapServerPublisher(tmp_path / "state", "https://maps.example")
    usual = dated_layer("2020-01-31")
    deep = tmp_path / ("d" * 200) / ("e" * 60) / "change.tif"
    deep.parent.mkdir(parents=True)
    usual.path.rename(deep)
    assert len(str(deep)) > LOCATION_BYTES
    publisher.publish(Layer(**{**vars(usual), "path": deep}))
    assert len(publisher.layers()) == 1
    assert publisher.series() == []
