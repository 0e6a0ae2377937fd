import csv
import datetime as dt
import json
from dataclasses import replace

import numpy as np
import pytest
from affine import Affine
from PIL import Image
from rasterio.crs import CRS

from candela.eo.raster.grid import Grid, Shape
from candela.eo.raster.images import Source, create_image
from candela.eo.s2.metadata import BANDS, Metadata
from candela.errors import InputError
from candela.services.extract_info import run
from candela.services.extract_info.algorithm import LeftOut, Observation, arrange

GRID = Grid(CRS.from_epsg(32631), Affine(10, 0, 300_000, 0, -10, 4_900_020), Shape(60, 60))
OTHER_GRID = GRID._replace(transform=Affine(10, 0, 400_000, 0, -10, 4_900_020))


def metadata(
    day="2021-06-05", *, tile="T31TCJ", baseline="04.00", level="L2A", made="120000", **of
):
    time = dt.datetime.fromisoformat(f"{day}T10:50:31+00:00")
    return Metadata(
        product_id=f"S2A_MSI{level}_{time:%Y%m%d}T105031_N0400_R051_{tile}_20230101T{made}",
        sensing_time=time,
        tile_id=tile,
        relative_orbit=of.get("orbit", 51),
        platform=of.get("platform", "S2A"),
        level=level,
        processing_baseline=baseline,
    )


def observation(image, day="2021-06-05", *, grid=GRID, is_product=False, **of):
    return Observation(image, metadata(day, **of), grid, is_product)


def images_of(series):
    return {scene.name: [o.image for o in scene.observations] for scene in series.scenes}


def test_images_are_sorted_by_time():
    series = arrange(
        [observation("c", "2022-01-01"), observation("a", "2020-01-01"), observation("b")]
    )
    assert images_of(series) == {"T31TCJ": ["a", "b", "c"]}


def test_each_image_is_paired_with_the_next():
    series = arrange([observation(day, day) for day in ("2021-03-01", "2021-03-11", "2021-02-27")])
    pairs = [(pair.before.image, pair.after.image, pair.days) for pair in series.pairs]
    assert pairs == [("2021-02-27", "2021-03-01", 2), ("2021-03-01", "2021-03-11", 10)]


def test_days_are_calendar_days():
    morning = dt.datetime(2021, 6, 10, 9, 0, tzinfo=dt.UTC)
    late = Observation("b", replace(metadata(), sensing_time=morning), GRID)
    assert arrange([observation("a", "2021-06-05"), late]).pairs[0].days == 5


def test_images_on_different_grids_are_not_paired():
    series = arrange(
        [observation("a"), observation("b", "2021-07-05", grid=OTHER_GRID, tile="T31TDJ")]
    )
    assert images_of(series) == {"T31TCJ": ["a"], "T31TDJ": ["b"]}
    assert series.pairs == []


def test_images_of_different_levels_are_not_paired():
    series = arrange([observation("a"), observation("b", "2021-07-05", level="L1C")])
    assert images_of(series) == {"T31TCJ L1C": ["b"], "T31TCJ L2A": ["a"]}


def test_scenes_of_one_tile_are_told_apart_by_what_differs():
    coarse = GRID._replace(transform=GRID.transform @ Affine.scale(2), shape=Shape(30, 30))
    part = GRID._replace(shape=Shape(50, 50))
    series = arrange([observation("a"), observation("b", grid=coarse), observation("c", grid=part)])
    assert images_of(series) == {
        "T31TCJ 10 m 1": ["a"],
        "T31TCJ 10 m 2": ["c"],
        "T31TCJ 20 m": ["b"],
    }


def test_a_scene_without_tile_is_named_by_its_place():
    assert list(images_of(arrange([observation("a", tile="")]))) == ["EPSG:32631 300000 4900020"]


def test_of_duplicates_the_newest_processing_baseline_wins():
    series = arrange(
        [
            observation("old", baseline="02.14"),
            observation("new", baseline="05.10"),
            observation("middle", baseline="04.00"),
        ]
    )
    assert images_of(series) == {"T31TCJ": ["new"]}
    assert {item.image for item in series.left_out} == {"old", "middle"}
    assert "older baseline 02.14 (there 05.10)" in dict(series.left_out)["old"]


def test_then_the_latest_time_of_processing():
    series = arrange([observation("late", made="180000"), observation("early", made="110000")])
    assert images_of(series) == {"T31TCJ": ["late"]}


def test_then_an_image_before_a_product():
    series = arrange([observation("a.zip", is_product=True), observation("a.tif")])
    assert images_of(series) == {"T31TCJ": ["a.tif"]}
    assert series.left_out == (
        LeftOut("a.zip", "duplicate of a.tif: same platform, orbit, time and tile"),
    )


@pytest.mark.parametrize("of", [{"platform": "S2B"}, {"orbit": 8}])
def test_other_platforms_and_orbits_are_no_duplicates(of):
    series = arrange([observation("a"), observation("b", **of)])
    assert images_of(series) == {"T31TCJ": ["a", "b"]}


def test_what_was_left_out_before_is_kept():
    series = arrange([observation("a")], [LeftOut("b", "not readable")])
    assert series.left_out == (LeftOut("b", "not readable"),)


@pytest.fixture
def make_image(tmp_path):
    def make(name, day="2021-06-05", *, tags=None, grid=GRID, **of):
        path = tmp_path / name
        tags = metadata(day, **of).to_tags() if tags is None else tags
        with create_image(path, grid, dtype="uint16", nodata=0, bands=["B02"], tags=tags) as image:
            image.write(np.ones((1, *grid.shape), np.uint16))
        return Source(f"http://example.test/{name}", str(path))

    return make


@pytest.fixture
def extract(tmp_path):
    def call(images=(), products=()):
        workdir = tmp_path / "out"
        workdir.mkdir(exist_ok=True)
        told = []
        outputs = run(
            images=list(images),
            products=list(products),
            workdir=workdir,
            progress=lambda *report: told.append(report),
        )
        return outputs, told

    return call


def test_the_document_names_images_as_the_user_does(make_image, extract):
    outputs, _ = extract([make_image("b.tif", "2021-06-15"), make_image("a.tif")])
    document = json.loads(outputs["pairs"].read_text())
    assert document["pairs"] == [
        {
            "scene": "T31TCJ",
            "before": "http://example.test/a.tif",
            "after": "http://example.test/b.tif",
            "before_date": "2021-06-05",
            "after_date": "2021-06-15",
            "days": 10,
        }
    ]
    assert document["left_out"] == []
    (scene,) = document["scenes"]
    assert scene["crs"] == "EPSG:32631"
    assert scene["transform"] == [10, 0, 300_000, 0, -10, 4_900_020]
    assert [image["sensing_time"] for image in scene["images"]] == [
        "2021-06-05T10:50:31Z",
        "2021-06-15T10:50:31Z",
    ]


def test_the_table_has_one_line_for_each_pair(make_image, extract):
    days = ("2021-06-05", "2021-06-15", "2021-07-05")
    outputs, _ = extract([make_image(f"{day}.tif", day) for day in days])
    with outputs["table"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["before_date"], row["after_date"], row["days"]) for row in rows] == [
        ("2021-06-05", "2021-06-15", "10"),
        ("2021-06-15", "2021-07-05", "20"),
    ]


def test_the_time_line_is_a_picture(make_image, extract):
    images = [make_image("a.tif"), make_image("b.tif", "2021-06-15", platform="S2B")]
    outputs, _ = extract(images)
    with Image.open(outputs["timeline"]) as picture:
        assert picture.format == "PNG"
        assert picture.width > 800


def test_what_cannot_be_used_is_left_out_with_its_reason(make_image, extract, tmp_path):
    (tmp_path / "text.tif").write_text("no image")
    outputs, _ = extract(
        [
            make_image("a.tif"),
            make_image("undated.tif", tags={"TILE_ID": "T31TCJ"}),
            Source("http://example.test/text.tif", str(tmp_path / "text.tif")),
        ],
        [tmp_path / "missing.zip"],
    )
    reasons = {
        item["image"]: item["reason"]
        for item in json.loads(outputs["pairs"].read_text())["left_out"]
    }
    assert set(reasons) == {
        "http://example.test/undated.tif",
        "http://example.test/text.tif",
        "missing.zip",
    }
    assert reasons["http://example.test/undated.tif"] == "the image has no tag SENSING_TIME"
    assert "cannot be read as an image" in reasons["http://example.test/text.tif"]
    assert reasons["missing.zip"] == "missing.zip does not exist"
    assert str(tmp_path) not in json.dumps(reasons)


def test_products_are_read_too(write_product, extract):
    days = [dt.datetime(2021, 6, day, 10, 50, 31, tzinfo=dt.UTC) for day in (5, 15)]
    products = [write_product(sensing=day, archive=True) for day in days]
    outputs, _ = extract(products=products)
    document = json.loads(outputs["pairs"].read_text())
    assert [(pair["before"], pair["after"]) for pair in document["pairs"]] == [
        (products[0].name, products[1].name)
    ]


def test_an_old_product_gives_a_scene_for_each_tile(write_product, extract):
    product = write_product(level="L1C", naming="old", tiles=("31TCJ", "31TDJ"))
    outputs, _ = extract(products=[product])
    document = json.loads(outputs["pairs"].read_text())
    assert [scene["scene"] for scene in document["scenes"]] == ["T31TCJ", "T31TDJ"]


def test_at_least_one_image_or_product_is_needed(extract):
    with pytest.raises(InputError, match="give at least one image or one product"):
        extract()


def test_if_nothing_can_be_used_all_reasons_are_given(extract, make_image, tmp_path):
    undated = make_image("undated.tif", tags={})
    with pytest.raises(InputError, match=r"undated\.tif: the image has no tag.*; missing\.zip: "):
        extract([undated], [tmp_path / "missing.zip"])


def test_progress_rises_to_the_end(make_image, extract):
    _, told = extract([make_image("a.tif"), make_image("b.tif", "2021-06-15")])
    percents = [percent for percent, _ in told]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    assert told[0][1] == "Read 1 of 2 headers"


def test_real_products_are_read(shared_data, extract):
    outputs, _ = extract(
        products=[shared_data("s2-safe-eodag"), shared_data("s2-safe-metadata-stactools")]
    )
    document = json.loads(outputs["pairs"].read_text())
    (scene,) = document["scenes"]
    assert scene["scene"] == "T31TDH"
    assert (scene["rows"], scene["cols"]) == (10980, 10980)
    (left_out,) = document["left_out"]
    assert left_out["image"] == "s2-safe-metadata-stactools"
    assert left_out["reason"].endswith("has no image of any band")


NORTH = np.broadcast_to(np.arange(4)[:, None] < 2, (4, 4))
SOUTH = ~NORTH


def part(image, day, coverage, **of):
    return replace(observation(image, day, **of), look=lambda: coverage)


def test_two_parts_of_one_acquisition_are_kept_both_and_paired_where_they_overlap():
    series = arrange(
        [
            part("whole", "2020-07-18", NORTH | SOUTH),
            part("north", "2022-06-28", NORTH, made="165031"),
            part("south", "2022-06-28", SOUTH, made="180211"),
            part("later", "2022-07-08", NORTH),
        ]
    )
    assert series.left_out == ()
    assert set(images_of(series)["T31TCJ"]) == {"whole", "north", "south", "later"}
    pairs = {(pair.before.image, pair.after.image) for pair in series.pairs}
    assert pairs == {("whole", "north"), ("whole", "south"), ("north", "later")}
    [note] = series.notes
    assert "south and north show different parts of one acquisition" in note


def test_a_second_processing_that_shows_no_more_is_a_duplicate():
    older = part("older", "2021-06-05", NORTH, made="120000")
    newer = part("newer", "2021-06-05", NORTH | SOUTH, made="130000")
    series = arrange([older, newer])
    assert images_of(series) == {"T31TCJ": ["newer"]}
    assert [item.image for item in series.left_out] == ["older"]
    assert series.notes == ()


def test_a_tile_in_two_products_is_read_from_both(write_product, extract, tmp_path):
    values = np.full((120, 120), 2000, np.uint16)
    coarse = np.full((20, 20), 2000, np.uint16)
    paths = []
    for name, rows in (("north", slice(0, 60)), ("south", slice(60, 120))):
        band, small = np.zeros_like(values), np.zeros_like(coarse)
        band[rows] = 2000
        small[rows.start // 6 : rows.stop // 6] = 2000
        product = write_product(bands=dict.fromkeys(BANDS) | {"B02": band, "B01": small})
        paths.append(product.rename(tmp_path / name))
    told = json.loads(extract(products=paths)[0]["pairs"].read_text())
    assert {image["image"] for image in told["scenes"][0]["images"]} == {"north", "south"}
    assert told["left_out"] == []
    assert told["pairs"] == []
    assert "different parts of one acquisition" in told["notes"][0]


def test_an_image_without_our_tags_is_dated_by_its_name(make_image, extract):
    names = ["T31TCJ_20210605T105031.tif", "mosaic_2021-06-15.tif", "20210625_sentinel2.tif"]
    outputs, _ = extract([make_image(name, tags={}) for name in (*names, "image_99999999.tif")])
    told = json.loads(outputs["pairs"].read_text())
    dates = {image["sensing_time"][:10] for image in told["scenes"][0]["images"]}
    assert dates == {"2021-06-05", "2021-06-15", "2021-06-25"}
    assert "no tag SENSING_TIME" in told["left_out"][0]["reason"]
