import datetime as dt
import re
import zipfile

import numpy as np
import pytest
from rasterio.windows import Window

from candela.eo.s1.border import valid_window
from candela.eo.s1.product import open_measurement, open_product, open_slices
from candela.errors import InputError
from candela.synthetic.sentinel1 import Acquisition, write_product

SHAPE = (60, 80)


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a small product, by default in VV and VH."""

    def write(*, polarisations=("VV", "VH"), shape=SHAPE, lines=None, archive=False, **options):
        line, pixel = np.mgrid[: shape[0], : shape[1]]
        images = {
            name: (line + 2 * pixel + 100 * number + 1).astype(np.uint16)
            for number, name in enumerate(polarisations)
        }
        acquisition = Acquisition(lines=shape[0], samples=shape[1], **options)
        return write_product(tmp_path, acquisition, images, lines=lines, archive=archive)

    return write


def read(product, tmp_path, polarisation="VV", window=None):
    annotation = product.annotation(polarisation)
    with open_measurement(product, polarisation, annotation, tmp_path) as measurement:
        return measurement.read(window or Window(0, 0, annotation.samples, annotation.lines))


@pytest.mark.parametrize("archive", [False, True])
def test_a_product_says_what_it_is(write, archive):
    product = open_product(write(archive=archive, direction="ASC", platform="S1A"))
    assert (product.platform, product.direction) == ("S1A", "ASC")
    assert (product.absolute_orbit, product.relative_orbit) == (30148, 22)
    assert product.datatake == 0x39993
    assert product.processor == (3, 40)
    assert product.polarisations == ("VV", "VH")
    assert product.start < dt.datetime(2021, 12, 23, 6, 2, 14, 123456, dt.UTC) < product.stop
    assert product.name.startswith("S1A_IW_GRDH_1SDV_20211223T060")
    assert product.outline.contains(product.outline.centroid)


@pytest.mark.parametrize("archive", [False, True])
def test_amplitudes_are_read_as_they_were_written(write, tmp_path, archive):
    product = open_product(write(archive=archive))
    line, pixel = np.mgrid[20:25, 10:17]
    np.testing.assert_array_equal(
        read(product, tmp_path, "VH", Window(10, 20, 7, 5)), line + 2 * pixel + 101
    )
    assert list(tmp_path.glob("*.tiff")) == []


@pytest.mark.parametrize("polarisations", [("HH",), ("HH", "HV"), ("VV",), ("VH",)])
@pytest.mark.parametrize("platform", ["S1A", "S1B", "S1C", "S1D"])
def test_all_satellites_and_polarisations_are_known(write, polarisations, platform):
    product = open_product(write(polarisations=polarisations, platform=platform))
    assert product.polarisations == polarisations
    assert product.platform == platform
    for name in polarisations:
        assert product.annotation(name).polarisation == name
        assert product.document(name, "calibration").tag == "calibration"
        assert product.document(name, "noise").tag == "noise"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"product_type": "SLC"}, "type SLC in mode IW"),
        ({"product_type": "OCN"}, "type OCN in mode IW"),
        ({"mode": "EW"}, "type GRD in mode EW"),
        ({"mode": "WV", "product_type": "SLC"}, "type SLC in mode WV"),
    ],
)
def test_other_products_are_refused_by_their_kind(write, options, message):
    with pytest.raises(InputError, match=f"{message}; expected .* GRD in mode IW"):
        open_product(write(**options))


def test_a_product_of_sentinel_2_is_refused(tmp_path, write_product):
    path = write_product(size=60)
    with pytest.raises(InputError, match=r"manifest\.safe of S2|mission"):
        open_product(path)


def test_a_file_that_is_no_product_is_refused(tmp_path):
    path = tmp_path / "x.zip"
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match="neither a folder nor a readable zip"):
        open_product(path)


@pytest.mark.parametrize(
    ("pattern", "kind"),
    [("annotation/*.xml", "annotation"), ("annotation/calibration/c*vv*", "calibration")],
)
def test_a_missing_file_is_named(write, tmp_path, pattern, kind):
    safe = write()
    for path in safe.glob(pattern):
        path.unlink()
    with pytest.raises(InputError, match=f"lacks the {kind} file of polarisation VV"):
        open_product(safe).file("VV", kind)


def test_a_polarisation_without_measurement_is_not_offered(write):
    safe = write()
    next(safe.glob("measurement/*vh*")).unlink()
    product = open_product(safe)
    assert product.polarisations == ("VV",)
    with pytest.raises(InputError, match=r"no polarisation VH \(found: VV\)"):
        product.annotation("VH")


def test_a_product_without_measurements_is_refused(write):
    safe = write()
    for path in safe.glob("measurement/*"):
        path.unlink()
    with pytest.raises(InputError, match="has no measurement"):
        open_product(safe)


def test_a_truncated_measurement_is_refused_with_the_lines(write, tmp_path):
    safe = write(polarisations=("VV",), shape=(400, 500))
    path = next(safe.glob("measurement/*"))
    path.write_bytes(path.read_bytes()[:-50_000])
    with pytest.raises(InputError, match=r"lines 0 to 399: it is truncated or damaged"):
        read(open_product(safe), tmp_path)


def test_a_damaged_archive_is_refused(write, tmp_path):
    path = write(archive=True)
    with zipfile.ZipFile(path) as archive:
        member = next(info for info in archive.infolist() if "-vv-" in info.filename
                      and info.filename.endswith("tiff"))  # fmt: skip
    content = bytearray(path.read_bytes())
    content[member.header_offset + 300 : member.header_offset + 400] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"-vv-.* is damaged"):
        read(open_product(path), tmp_path)
    assert list(tmp_path.glob("*.tiff")) == []


def test_a_measurement_of_another_size_than_the_annotation_is_refused(write, tmp_path):
    safe = write(polarisations=("VV",))
    path = next(safe.glob("annotation/*.xml"))
    path.write_text(path.read_text().replace("<numberOfLines>60<", "<numberOfLines>61<"))
    with pytest.raises(InputError, match="60 x 80 pixels of type uint16, expected 61 x 80"):
        read(open_product(safe), tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("IPF", "other", "version of its processor"),
        (">30148<", ">x<", "orbitNumber .* is 'x', expected a number"),
        ("safe:startTime", "safe:otherTime", "has no startTime"),
        ("gml:coordinates", "gml:other", "has no coordinates"),
        ("<gml:coordinates>", "<gml:coordinates>nan,nan ", "latitude,longitude for each"),
        ("<gml:coordinates>", "<gml:coordinates>99.0,1.0 ", "corners of a polygon"),
        ("<gml:coordinates>", "<gml:coordinates>here ", "latitude,longitude for each"),
    ],
)
def test_a_manifest_that_lacks_something_is_refused(write, old, new, message):
    safe = write()
    manifest = safe / "manifest.safe"
    manifest.write_text(manifest.read_text().replace(old, new))
    with pytest.raises(InputError, match=message):
        open_product(safe)


def test_slices_come_in_order_of_time(write):
    late, early = write(lines=(30, 60)), write(lines=(0, 30))
    products = open_slices([late, early])
    assert [product.start for product in products] == sorted(p.start for p in products)
    assert products[0].safe.path == early


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"platform": "S1A"}, r"different platforms \(S1"),
        ({"relative_orbit": 23}, r"different relative orbits \(22, 23\)"),
        ({"direction": "ASC"}, "different directions of flight"),
        ({"datatake": 7}, r"different datatakes \(039993, 000007\)"),
        ({"polarisations": ("VV",)}, r"different polarisations \(VV\+VH, VV\)"),
    ],
)
def test_slices_that_do_not_belong_together_are_refused(write, options, message):
    first, second = write(lines=(0, 30)), write(lines=(30, 60), **options)
    with pytest.raises(InputError, match=message):
        open_slices([first, second])


def test_the_same_slice_twice_is_refused(write, tmp_path):
    with pytest.raises(InputError, match="show the same slice"):
        open_slices([write(), write(archive=True)])


@pytest.mark.parametrize(
    ("ipf", "zeros", "expected"),
    [
        ("003.40", None, Window(0, 0, 2600, 260)),
        ("002.72", None, Window(1000, 0, 600, 260)),
        ("003.40", slice(0, 110), Window(0, 1600, 2600, 0)),
        ("003.40", slice(0, 90), Window(0, 0, 2600, 260)),
    ],
)
def test_the_spoilt_border_is_known(tmp_path, ipf, zeros, expected):
    image = np.ones((260, 2600), dtype=np.uint16)
    if zeros:
        image[zeros] = 0
    acquisition = Acquisition(lines=260, samples=2600, ipf=ipf)
    product = open_product(write_product(tmp_path, acquisition, {"VV": image}))
    with open_measurement(product, "VV", product.annotation("VV"), tmp_path) as measurement:
        assert valid_window(measurement, product.processor) == expected


def test_a_real_product_is_read(shared_data):
    product = open_product(next(shared_data("s1-safe-sarsen").glob("*.SAFE")))
    assert (product.platform, product.relative_orbit, product.direction) == ("S1B", 22, "DES")
    assert product.polarisations == ("VV",)
    assert product.outline.bounds == (11.865704, 40.876698, 15.321935, 42.780445)


def test_a_real_product_without_measurement_is_refused(shared_data):
    with pytest.raises(InputError, match="has no measurement"):
        open_product(next(shared_data("s1-safe-pyrosar-metadata").glob("*.zip")))


@pytest.mark.parametrize(
    ("element", "text"),
    [("number", "A/../../../escaped"), ("number", ""), ("pass", "../"), ("pass", "sideways")],
)
def test_what_becomes_a_part_of_names_is_one_of_few_words(write, element, text):
    path = write() / "manifest.safe"
    document = path.read_text()
    changed = re.sub(rf"(<[\w:]*:{element}>)[^<]*<", rf"\g<1>{text}<", document)
    assert changed != document
    path.write_text(changed)
    with pytest.raises(InputError, match=rf"({element}.*expected|has no .*{element})"):
        open_product(path.parent)
