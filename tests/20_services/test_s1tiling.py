import datetime as dt
import json
import tempfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning
from rasterio.warp import transform
from scipy.ndimage import map_coordinates

from candela.eo.progress import silent
from candela.eo.raster.grid import Area, Bounds, Grid, Shape
from candela.eo.s1.speckle import despeckle
from candela.eo.s2.tiles import tile_grid
from candela.errors import InputError
from candela.services import jpeg2tiff, s1tiling
from candela.services.s1tiling.algorithm import join, picture, smooth_mask
from candela.synthetic.sentinel1 import Acquisition, write_product
from candela.synthetic.sentinel2 import Tile, write_safe
from candela.synthetic.sentinel2_names import Identity

# Upper left corners in ESA's tiling grid: north and south, at edges of zones, zones 31V and 32V.
TILES = {
    "31TCJ": (32631, 300000, 4900020),
    "31UGP": (32631, 699960, 5400000),
    "32ULU": (32632, 300000, 5400000),
    "31VEG": (32631, 499980, 6700020),
    "32VKM": (32632, 199980, 6700020),
    "56HLH": (32756, 300000, 6300040),
    "22MHE": (32722, 799980, 10000000),
}
DEFAULTS = {
    "tiles": [],
    "area": None,
    "region": None,
    "polarisations": [],
    "calibration": "beta0",
    "noise_removal": False,
    "resolution": 100,
    "interpolation": "bilinear",
    "speckle_filter": "none",
    "filter_radius": 2,
    "looks": 4.4,
    "damping": 2.0,
    "incidence_angle": False,
    "dem": None,
    "geoid": None,
    "orbits": [],
    "minimum_coverage": 0.0,
}
BETA = 474.0  # of the synthetic products' tables
LOOSE = Acquisition(lines=300, samples=360, pixel_m=100)


def speckle(lines, samples, mean=150, seed=1):
    random = np.random.default_rng(seed)
    return (mean * np.sqrt(random.gamma(4.4, 1 / 4.4, (lines, samples)))).astype(np.uint16) + 1


@pytest.fixture
def run(tmp_path):
    """Return a function that runs S1tiling on products, with as many defaults as there are."""

    def run(*products, **options):
        workdir = Path(tempfile.mkdtemp(dir=tmp_path))
        return s1tiling.run(
            product=list(products),
            workdir=workdir,
            progress=silent,
            **DEFAULTS | options,
        )

    return run


def read(path):
    with rasterio.open(path) as dataset:
        return dataset.read(1)


def places_in(path, acquisition, lines, pixels, height=0.0):
    """Return rows and columns of an image where points of the acquisition must show."""
    with rasterio.open(path) as dataset:
        return places_on(Grid.of(dataset), acquisition, lines, pixels, height)


def places_on(grid, acquisition, lines, pixels, height=0.0):
    place = acquisition.swath.locate(np.array(lines), np.array(pixels), height)
    x, y = transform("EPSG:4326", grid.crs, place.longitude.ravel(), place.latitude.ravel())
    cols, rows = ~grid.transform @ (np.array(x), np.array(y))
    return rows - 0.5, cols - 0.5


@pytest.mark.parametrize(
    "acquisition",
    [
        LOOSE,
        Acquisition(lines=300, samples=360, pixel_m=100, direction="ASC"),
        Acquisition(lines=300, samples=360, pixel_m=100, longitude=151.5, latitude=-34.0),
        Acquisition(lines=300, samples=360, pixel_m=100, height=700),
    ],
    ids=["descending", "ascending", "south", "high"],
)
def test_every_pixel_shows_what_lies_there(run, tmp_path, acquisition):
    line, pixel = np.mgrid[:300, :360]
    images = {"VV": (line + 1000).astype(np.uint16), "VH": (pixel + 1000).astype(np.uint16)}
    outputs = run(write_product(tmp_path, acquisition, images), tiles=[])
    lines, pixels = np.meshgrid(np.arange(10, 290, 13.3), np.arange(10, 350, 17.7), indexing="ij")
    for name, truth in (("vv", lines), ("vh", pixels)):
        rows, cols = places_in(outputs[name], acquisition, lines, pixels, acquisition.height)
        power = read(outputs[name])
        seen = (rows > 1) & (cols > 1) & (rows < power.shape[0] - 2) & (cols < power.shape[1] - 2)
        sampled = map_coordinates(np.sqrt(power), [rows[seen], cols[seen]], order=1)
        numbers = sampled * BETA * (1 + 1e-5 * lines.ravel()[seen])
        assert seen.sum() > 50
        assert np.abs(numbers - 1000 - truth.ravel()[seen]).max() < 0.1


def test_outputs_are_named_and_tagged_as_s1tiling_does(run, tmp_path):
    product = write_product(
        tmp_path, LOOSE, {"VV": speckle(300, 360), "VH": speckle(300, 360)}, archive=True
    )
    outputs = run(product, tiles=["31TCJ"], calibration="gamma0", noise_removal=True)
    assert outputs["vv"].name == "s1b_31TCJ_vv_DES_022_20211223t060211.tif"
    assert outputs["vh"].name == "s1b_31TCJ_vh_DES_022_20211223t060211.tif"
    assert outputs["border_mask"].name == "s1b_31TCJ_vv_DES_022_20211223t060211_BorderMask.tif"
    with rasterio.open(outputs["vh"]) as image:
        assert (image.dtypes, image.nodata, image.descriptions) == (("float32",), 0, ("VH",))
        assert image.overviews(1)
        tags = image.tags()
    assert tags.pop("AREA_OR_POINT") == "Area"
    assert tags == {
        "ACQUISITION_DATETIME": "2021:12:23T06:02:11Z",
        "CALIBRATION": "gamma",
        "FLYING_UNIT_CODE": "s1b",
        "HEIGHT_SOURCE": "geolocation grid of the product",
        "IMAGE_TYPE": "GRD",
        "INPUT_S1_IMAGES": product.stem,
        "NOISE_REMOVED": "True",
        "ORBIT_DIRECTION": "DES",
        "ORBIT_NUMBER": "030148",
        "ORBIT_SOURCE": "annotation",
        "ORTHORECTIFIED": "true",
        "POLARIZATION": "vh",
        "RELATIVE_ORBIT_NUMBER": "022",
        "S2_TILE_CORRESPONDING_CODE": "31TCJ",
        "SENSING_TIME": "2021-12-23T06:02:11Z",
        "SPATIAL_RESOLUTION": "100.0",
        "TIFFTAG_IMAGEDESCRIPTION": "gamma calibrated orthorectified Sentinel-1B IW GRD on S2 tile",
        "TIFFTAG_SOFTWARE": "CANDELA S1tiling",
    }


@pytest.mark.parametrize("name", TILES)
def test_the_grid_is_exactly_that_of_jpeg2tiff(run, tmp_path, name):
    epsg, left, top = TILES[name]
    optical = Grid(CRS.from_epsg(epsg), Affine(10, 0, left, 0, -10, top), Shape(10980, 10980))
    bands = {"B01": np.full((1830, 1830), 2000, dtype=np.uint16)}
    sensing = dt.datetime(2021, 12, 23, 10, 50, 31, tzinfo=dt.UTC)
    safe = write_safe(tmp_path, Identity(sensing), [Tile(name, optical, bands)])
    stack = jpeg2tiff.run(
        product=safe, bands=["B01"], area=None, resolution=60, resampling="nearest", mask="none",
        cloud_margin=0, workdir=tmp_path, progress=silent,
    )["image"]  # fmt: skip
    middle = transform(f"EPSG:{epsg}", "EPSG:4326", [left + 54900], [top - 54900])
    acquisition = Acquisition(middle[0][0], middle[1][0], lines=40, samples=50, pixel_m=60)
    radar = run(
        write_product(tmp_path, acquisition, {"VV": speckle(40, 50)}), tiles=[name], resolution=60
    )["vv"]
    with rasterio.open(stack) as first, rasterio.open(radar) as second:
        assert Grid.of(first) == Grid.of(second)
        assert second.read(1).any()


def test_two_slices_give_what_the_whole_gives(run, tmp_path):
    images = {"VV": speckle(300, 360)}
    whole = read(run(write_product(tmp_path, LOOSE, images))["vv"])
    slices = [
        write_product(tmp_path, LOOSE, images, lines=(140, 300)),
        write_product(tmp_path, LOOSE, images, lines=(0, 140)),
    ]
    outputs = run(*slices, noise_removal=False)
    joined = read(outputs["vv"])
    assert outputs["vv"].name.endswith("_20211223txxxxxx.tif")
    with rasterio.open(outputs["vv"]) as image:
        assert {"ACQUISITION_DATETIME_1", "ACQUISITION_DATETIME_2"} <= image.tags().keys()
    np.testing.assert_array_equal(joined > 0, whole > 0)
    seam = np.abs(joined / np.where(whole > 0, whole, 1) - (whole > 0)) > 1e-3
    assert seam.sum() < 2.5 * 360  # pixels between the last line of one and the first of the other
    ratio = joined[seam].mean() / whole[seam].mean()
    assert ratio == pytest.approx(1, abs=0.05)


def test_several_tiles_are_made_and_the_best_comes_first(run, tmp_path):
    acquisition = Acquisition(0.35, 43.4, lines=600, samples=700, pixel_m=100)
    product = write_product(tmp_path, acquisition, {"VV": speckle(600, 700)})
    outputs = run(product, minimum_coverage=5.0)
    facts = json.loads(outputs["metadata"].read_text())
    shares = [tile["covered"] for tile in facts["tiles"]]
    assert len(shares) > 2
    assert shares == sorted(shares, reverse=True)
    assert facts["tiles"][0]["tile"] in outputs["vv"].name
    with zipfile.ZipFile(outputs["tiles"]) as archive:
        assert archive.namelist() == [
            f"{tile['tile']}/{name}" for tile in facts["tiles"][1:] for name in tile["files"]
        ]
        assert archive.testzip() is None
        archive.extractall(tmp_path / "all")
    other = facts["tiles"][1]
    alone = run(product, tiles=[other["tile"]])
    np.testing.assert_array_equal(
        read(alone["vv"]), read(tmp_path / "all" / other["tile"] / other["files"][0])
    )


def test_tiles_are_made_in_the_order_they_are_named(run, tmp_path):
    acquisition = Acquisition(0.35, 43.4, lines=600, samples=700, pixel_m=100)
    product = write_product(tmp_path, acquisition, {"VV": speckle(600, 700)})
    outputs = run(product, tiles=["T30TYP", "31TCJ"], resolution=100)
    facts = json.loads(outputs["metadata"].read_text())
    assert [tile["tile"] for tile in facts["tiles"]] == ["30TYP", "31TCJ"]


def test_an_area_of_interest_chooses_tiles(run, tmp_path):
    acquisition = Acquisition(0.35, 43.4, lines=600, samples=700, pixel_m=100)
    product = write_product(tmp_path, acquisition, {"VV": speckle(600, 700)})
    area = Area(Bounds(0.7, 43.45, 0.75, 43.5), "EPSG:4326")
    region = tmp_path / "region.geojson"
    ring = [[0.7, 43.45], [0.75, 43.45], [0.75, 43.5], [0.7, 43.45]]
    region.write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    for options in ({"area": area}, {"region": region}):
        facts = json.loads(run(product, **options)["metadata"].read_text())
        assert {tile["tile"] for tile in facts["tiles"]} == {"30TYP", "31TCJ"}


def test_a_speckle_filter_is_applied_as_if_to_the_whole_image(run, tmp_path):
    product = write_product(tmp_path, LOOSE, {"VV": speckle(300, 360)})
    plain = read(run(product)["vv"])
    outputs = run(product, speckle_filter="lee", filter_radius=3)
    assert outputs["vv"].name.endswith("_filtered.tif")
    np.testing.assert_allclose(
        read(outputs["vv"]), despeckle(plain, "lee", radius=3, looks=4.4), rtol=1e-4, atol=1e-9
    )
    with rasterio.open(outputs["vv"]) as image:
        tags = image.tags()
    assert (tags["FILTERING_METHOD"], tags["FILTERING_WINDOW_RADIUS"]) == ("Lee", "3")


def test_the_mask_tells_where_data_are(run, tmp_path):
    image = speckle(300, 360)
    image[100:160, 50:150] = 0
    outputs = run(write_product(tmp_path, LOOSE, {"VV": image}))
    mask, power = read(outputs["border_mask"]), read(outputs["vv"])
    assert set(np.unique(mask)) == {0, 1}
    assert not (mask[power == 0]).any()
    assert mask.sum() > 0.98 * (power > 0).sum()


def test_the_sides_of_old_products_are_cut_off(run, tmp_path):
    old = Acquisition(lines=300, samples=2600, pixel_m=100, ipf="002.72")
    product = write_product(tmp_path, old, {"VV": speckle(300, 2600)})
    power = read(run(product, tiles=["31TCJ"])["vv"])
    for pixel, is_seen in ((990, False), (1010, True), (1590, True), (1610, False)):
        rows, cols = places_on(
            tile_grid("31TCJ", 100), old, [[120.0, 150.0, 180.0]], [[float(pixel)] * 3]
        )
        assert (power[np.rint(rows).astype(int), np.rint(cols).astype(int)] > 0).all() == is_seen


def test_the_preview_shows_the_tile(run, tmp_path):
    outputs = run(
        write_product(tmp_path, LOOSE, {"VV": speckle(300, 360), "VH": speckle(300, 360)})
    )
    red, _, _, opacity = np.moveaxis(np.asarray(Image.open(outputs["preview"])), -1, 0)
    assert red.shape == (1024, 1024)
    assert set(np.unique(opacity)) == {0, 255}
    assert red[opacity == 255].mean() > 30


@pytest.mark.parametrize(
    ("options", "locator", "message"),
    [
        ({"tiles": ["33XVP"]}, "tiles", r"do not cover tile 33XVP \(covered: 31TCJ \d"),
        ({"tiles": ["31TCJ"], "minimum_coverage": 90.0}, "tiles", r"of tile 31TCJ, less than"),
        ({"tiles": ["31ICJ"]}, "tiles", "is no tile id"),
        ({"minimum_coverage": 90.0}, "minimum_coverage", r"no tile by 90 % \(covered: 31TCJ"),
        (
            {"area": Area(Bounds(20, 43, 21, 44), "EPSG:4326")},
            "area",
            r"no tile in the area of interest .* \(covered: 31TCJ",
        ),
        ({"polarisations": ["HH"]}, "polarisations", r"no polarisation HH \(found: VV\)"),
    ],
)
def test_what_cannot_be_made_is_refused(run, tmp_path, options, locator, message):
    product = write_product(tmp_path, LOOSE, {"VV": speckle(300, 360)})
    with pytest.raises(InputError, match=message) as refusal:
        run(product, **options)
    assert refusal.value.locator == locator


def test_a_blank_measurement_is_refused(run, tmp_path):
    product = write_product(tmp_path, LOOSE, {"VV": np.zeros((300, 360), np.uint16)})
    with pytest.raises(InputError, match="measurement is blank in tile 31TCJ") as refusal:
        run(product)
    assert refusal.value.locator == "product"


@pytest.mark.parametrize(
    ("pattern", "kind"), [("annotation/*.xml", "annotation"), ("*/*/c*.xml", "calibration")]
)
def test_a_product_that_lacks_a_file_is_refused(run, tmp_path, pattern, kind):
    product = write_product(tmp_path, LOOSE, {"VV": speckle(300, 360)})
    next(product.glob(pattern)).unlink()
    with pytest.raises(InputError, match=f"lacks the {kind} file") as refusal:
        run(product)
    assert refusal.value.locator == "product"


def write_dem(path, bounds, height):
    left, bottom, right, top = bounds
    pixel = Affine((right - left) / 60, 0, left, 0, (bottom - top) / 60, top)
    profile = {
        "driver": "GTiff", "dtype": "float32", "count": 1, "width": 60, "height": 60,
        "crs": "EPSG:4326", "transform": pixel,
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as dem:
        dem.write(np.full((60, 60), height, np.float32), 1)
    return path


def test_heights_of_a_dem_and_a_geoid_are_used(run, tmp_path):
    _, pixel = np.mgrid[:300, :360]
    product = write_product(tmp_path, LOOSE, {"VV": (pixel + 1000).astype(np.uint16)})
    dem = write_dem(tmp_path / "dem.tif", (0, 42.5, 2.5, 45), 850)
    geoid = write_dem(tmp_path / "geoid.tif", (0, 42.5, 2.5, 45), 50)
    outputs = run(product, tiles=["31TCJ"], dem=dem, geoid=geoid)
    lines, pixels = np.meshgrid([150.0], np.arange(30, 330, 10.0), indexing="ij")
    rows, cols = places_in(outputs["vv"], LOOSE, lines, pixels, 900.0)
    numbers = map_coordinates(np.sqrt(read(outputs["vv"])), [rows, cols], order=1) * BETA * 1.0015
    assert np.abs(numbers - 1000 - pixels.ravel()).max() < 0.1
    with rasterio.open(outputs["vv"]) as image:
        assert image.tags()["DEM"] == "dem.tif"


def test_a_dem_that_does_not_cover_is_refused(run, tmp_path):
    product = write_product(tmp_path, LOOSE, {"VV": speckle(300, 360)})
    dem = write_dem(tmp_path / "dem.tif", (10, 42.5, 12, 45), 850)
    with pytest.raises(InputError, match=r"dem\.tif covers longitudes 10") as refusal:
        run(product, dem=dem)
    assert refusal.value.locator == "dem"


def test_flattened_flat_ground_is_gamma_nought(run, tmp_path):
    product = write_product(tmp_path, LOOSE, {"VV": speckle(300, 360)})
    dem = write_dem(tmp_path / "dem.tif", (0, 42.5, 2.5, 45), 0)
    rough = read(run(product, tiles=["31TCJ"], calibration="beta0", dem=dem)["vv"])
    outputs = run(product, tiles=["31TCJ"], calibration="gamma0_rtc", dem=dem, incidence_angle=True)
    flat, angle = read(outputs["vv"]), read(outputs["incidence_angle"])
    both = (rough > 0) & (flat > 0)
    assert both.sum() > 0.95 * (rough > 0).sum()  # the outermost cells are seen in part
    ratio = flat[both] / (rough[both] * np.tan(np.radians(angle[both])))
    assert np.median(ratio) == pytest.approx(1, abs=0.002)
    assert (angle[both] > 30).all()
    assert (angle[both] < 46).all()
    with rasterio.open(outputs["vv"]) as image:
        assert image.tags()["CALIBRATION"] == "gamma_rtc"


def test_local_incidence_angles_are_named_and_tagged(run, tmp_path):
    product = write_product(tmp_path, LOOSE, {"VV": speckle(300, 360)})
    dem = write_dem(tmp_path / "dem.tif", (0, 42.5, 2.5, 45), 300)
    path = run(product, tiles=["31TCJ"], dem=dem, incidence_angle=True)["incidence_angle"]
    assert path.name == "LIA_s1b_31TCJ_DES_022.tif"
    with rasterio.open(path) as image:
        tags = image.tags()
    assert tags["DATA_TYPE"] == "LIA"
    assert tags["DEM"] == "dem.tif"
    assert "CALIBRATION" not in tags


@pytest.mark.parametrize("options", [{"calibration": "gamma0_rtc"}, {"incidence_angle": True}])
def test_what_needs_a_dem_is_refused_without_one(run, tmp_path, options):
    product = write_product(tmp_path, LOOSE, {"VV": speckle(300, 360)})
    with pytest.raises(InputError, match="cannot be had without a DEM") as refusal:
        run(product, **options)
    assert refusal.value.locator == "dem"


def test_a_damaged_dem_is_refused(run, tmp_path):
    product = write_product(tmp_path, LOOSE, {"VV": speckle(300, 360)})
    dem = write_dem(tmp_path / "dem.tif", (0, 42.5, 2.5, 45), 850)
    dem.write_bytes(dem.read_bytes()[:-8000])
    with pytest.raises(InputError, match=r"dem\.tif") as refusal:
        run(product, dem=dem)
    assert refusal.value.locator == "dem"


def test_a_geoid_without_a_dem_is_refused(run, tmp_path):
    product = write_product(tmp_path, LOOSE, {"VV": speckle(300, 360)})
    geoid = write_dem(tmp_path / "geoid.tif", (0, 42.5, 2.5, 45), 50)
    with pytest.raises(InputError, match="without the DEM"):
        run(product, geoid=geoid)


def test_an_orbit_file_that_is_none_is_refused(run, tmp_path):
    product = write_product(tmp_path, LOOSE, {"VV": speckle(300, 360)})
    orbit = tmp_path / "orbit.EOF"
    orbit.write_text("<Earth_Explorer_File/>")
    with pytest.raises(InputError, match=r"orbit\.EOF") as refusal:
        run(product, orbits=[orbit])
    assert refusal.value.locator == "orbits"


def write_orbit_file(path, acquisition, shift_m=0.0):
    """Write a precise orbit file with the orbit of an acquisition, or one beside it."""
    vectors = []
    for seconds in np.arange(-200.0, 201.0, 10.0):
        position, velocity = acquisition.swath.orbit.state(np.array(seconds))
        position = position * (1 + shift_m / np.linalg.norm(position))
        when = acquisition.middle + dt.timedelta(seconds=seconds)
        values = zip(("X", "Y", "Z", "VX", "VY", "VZ"), (*position, *velocity), strict=True)
        numbers = "".join(f"<{name}>{value:.6f}</{name}>" for name, value in values)
        vectors.append(f"<OSV><UTC>UTC={when:%Y-%m-%dT%H:%M:%S.%f}</UTC>{numbers}</OSV>")
    path.write_text(
        "<Earth_Explorer_File><File_Type>AUX_POEORB</File_Type><Mission>Sentinel-1B</Mission>"
        f"<Ref_Frame>EARTH_FIXED</Ref_Frame>{''.join(vectors)}</Earth_Explorer_File>"
    )
    return path


@pytest.mark.parametrize(("shift_m", "moves"), [(0.0, False), (200.0, True)])
def test_the_orbit_of_an_orbit_file_is_used(run, tmp_path, shift_m, moves):
    product = write_product(tmp_path, LOOSE, {"VV": speckle(300, 360)})
    plain = read(run(product)["vv"])
    orbit = write_orbit_file(tmp_path / "S1B_OPER_AUX_POEORB.EOF", LOOSE, shift_m)
    outputs = run(product, orbits=[orbit])
    with rasterio.open(outputs["vv"]) as image:
        assert image.tags()["ORBIT_SOURCE"] == "AUX_POEORB"
    difference = np.abs(read(outputs["vv"]) - plain)
    assert (difference.max() > 0.1 * plain.max()) == moves


def test_noise_that_was_removed_already_is_not_removed_again(run, tmp_path):
    product = write_product(tmp_path, LOOSE, {"VV": speckle(300, 360)})
    plain = read(run(product)["vv"])
    annotation = next(product.glob("annotation/*.xml"))
    done = "thermalNoiseCorrectionPerformed>true<"
    text = annotation.read_text().replace("thermalNoiseCorrectionPerformed>false<", done)
    annotation.write_text(text)
    np.testing.assert_array_equal(read(run(product, noise_removal=True)["vv"]), plain)


def test_the_real_product_of_the_samples_is_blank_and_says_so(run, shared_data):
    product = next(shared_data("s1-safe-sarsen").glob("*.SAFE"))
    with pytest.raises(InputError, match="measurement is blank in tile 33TUG"):
        run(product, tiles=["33TUG"], noise_removal=True)


def test_real_amplitudes_come_back_where_they_were(run, tmp_path, shared_data):
    folder = next(shared_data("s1-grd-aws").rglob("*20180716T004042*")) / "measurement"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        images = {name: read(folder / f"iw-{name.lower()}.tiff") for name in ("VV", "VH")}
    lines, samples = images["VV"].shape
    frame = Acquisition(lines=lines, samples=samples, pixel_m=200)  # every 20th pixel of 10 m
    outputs = run(write_product(tmp_path, frame, images), tiles=["31TCJ"])
    line, pixel = np.meshgrid(np.arange(300, 600, 7), np.arange(400, 800, 7), indexing="ij")
    for name, image in images.items():
        power = read(outputs[name.lower()])
        rows, cols = places_in(outputs[name.lower()], frame, line, pixel)
        inside = (rows > 1) & (cols > 1) & (rows < 1096) & (cols < 1096)
        sampled = map_coordinates(np.sqrt(power), [rows[inside], cols[inside]], order=1) * BETA
        truth = image[line, pixel].ravel()[inside]
        assert inside.sum() > 300
        assert np.corrcoef(sampled, truth)[0, 1] > 0.93
        assert sampled.mean() == pytest.approx(truth.mean(), rel=0.03)


def test_joining_takes_the_first_that_has_data():
    first, second = np.array([[0, 1, 0]], np.float32), np.array([[2, 3, 0]], np.float32)
    assert join([first, second]).tolist() == [[2, 1, 0]]


def test_a_spike_is_taken_off_a_mask_and_a_straight_border_stays():
    mask = np.zeros((60, 60), np.uint8)
    mask[:, 30:] = 1
    mask[28, 20:30] = 1
    smoothed = smooth_mask(mask)
    assert not smoothed[:, :30].any()
    assert smoothed[:, 30:].all()


def test_a_picture_is_transparent_where_one_polarisation_has_no_data():
    powers = {"VV": np.array([[0.1, 0.1]], np.float32), "VH": np.array([[0.02, 0]], np.float32)}
    shown = picture(powers)
    assert shown[0, :, 3].tolist() == [255, 0]
    assert shown[0, 0, 0] == round(255 * 14 / 24)


def test_a_zipped_orbit_file_is_read(run, tmp_path):
    product = write_product(tmp_path, LOOSE, {"VV": speckle(300, 360)})
    orbit = write_orbit_file(tmp_path / "orbit.EOF", LOOSE)
    with zipfile.ZipFile(tmp_path / "orbit.EOF.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(orbit, orbit.name)
    plain = run(product, orbits=[orbit])
    zipped = run(product, orbits=[tmp_path / "orbit.EOF.zip"])
    np.testing.assert_array_equal(read(zipped["vv"]), read(plain["vv"]))


def test_an_orbit_archive_without_one_file_is_refused(run, tmp_path):
    product = write_product(tmp_path, LOOSE, {"VV": speckle(300, 360)})
    with zipfile.ZipFile(tmp_path / "orbit.EOF.zip", "w") as archive:
        archive.writestr("a.EOF", "<a/>")
        archive.writestr("b.EOF", "<b/>")
    with pytest.raises(InputError, match=r"must have one file in it, found: a\.EOF, b\.EOF") as no:
        run(product, orbits=[tmp_path / "orbit.EOF.zip"])
    assert no.value.locator == "orbits"
