"""The annotation and orbit files of Sentinel-1 products."""

import datetime as dt
import re
import zipfile

import numpy as np
import pytest

from candela.eo.s1.annotation import read_annotation
from candela.eo.s1.orbit import Orbit, read_orbit_file, seconds_since
from candela.errors import InputError
from candela.synthetic.sentinel1 import Acquisition
from candela.synthetic.sentinel1_xml import ProductSlice, annotation_xml

SEEN = Acquisition(lines=400, samples=500)


@pytest.fixture(scope="module")
def document():
    return annotation_xml(ProductSlice(SEEN, 0, SEEN.lines, ("VV",)), "VV")


@pytest.fixture(scope="module")
def annotation(document):
    return read_annotation(document.encode())


def orbit_file(annotation, *, mission="Sentinel-1B", frame="EARTH_FIXED", kind="AUX_POEORB"):
    vectors = annotation.state_vectors
    states = "".join(
        f"<OSV><TAI>TAI={time}</TAI><UTC>UTC={time}</UTC><UT1>UT1={time}</UT1>"
        f"<Absolute_Orbit>+30148</Absolute_Orbit>"
        + "".join(f'<{n} unit="m">{v:.6f}</{n}>' for n, v in zip("XYZ", place, strict=True))
        + "".join(
            f'<{n} unit="m/s">{v:.6f}</{n}>' for n, v in zip(("VX", "VY", "VZ"), speed, strict=True)
        )
        + "<Quality>NOMINAL</Quality></OSV>"
        for time, place, speed in zip(
            vectors.times, vectors.positions, vectors.velocities, strict=True
        )
    )
    return (
        f"<Earth_Explorer_File><Earth_Explorer_Header><Fixed_Header><Mission>{mission}</Mission>"
        f"<File_Type>{kind}</File_Type></Fixed_Header><Variable_Header><Ref_Frame>{frame}"
        "</Ref_Frame></Variable_Header></Earth_Explorer_Header><Data_Block><List_of_OSVs>"
        f"{states}</List_of_OSVs></Data_Block></Earth_Explorer_File>"
    ).encode()


def test_what_the_annotation_says_is_read(annotation):
    assert (annotation.platform, annotation.mode, annotation.product_type) == ("S1B", "IW", "GRD")
    assert (annotation.polarisation, annotation.pass_direction) == ("VV", "DES")
    assert (annotation.lines, annotation.samples) == (400, 500)
    assert annotation.absolute_orbit == 30148
    assert annotation.datatake_id == 0x39993
    assert annotation.range_pixel_spacing == 10
    assert annotation.azimuth_time_interval == pytest.approx(SEEN.swath.line_interval)
    assert annotation.grid.lines.shape == annotation.grid.heights.shape == (210,)
    assert annotation.first_line_time.tzinfo == dt.UTC


def test_the_last_line_follows_from_the_first(annotation):
    seconds = (annotation.last_line_time - annotation.first_line_time).total_seconds()
    assert seconds == pytest.approx(399 * annotation.azimuth_time_interval, abs=1e-6)


@pytest.mark.parametrize(
    "element",
    ["azimuthTimeInterval", "numberOfLines", "missionId", "srgrCoefficients", "position", "pass"],
)
def test_a_missing_element_is_named(document, element):
    without = re.sub(f"<{element}( [^>]*)?>.*?</{element}>", "", document)
    with pytest.raises(InputError, match=element):
        read_annotation(without.encode())


def test_another_product_type_is_refused(document):
    slc = document.replace("<productType>GRD<", "<productType>SLC<")
    with pytest.raises(InputError, match="product type SLC, expected GRD"):
        read_annotation(slc.encode())


@pytest.mark.parametrize(
    ("found", "replaced", "message"),
    [
        (
            "<numberOfLines>400<",
            "<numberOfLines>4e9<",
            "numberOfLines is '4e9', expected a number from 1 to 200000",
        ),
        ("<numberOfLines>400<", "<numberOfLines>many<", "'many', expected a number"),
        ("<numberOfLines>400<", "<numberOfLines>nan<", "numberOfLines is 'nan', expected a number"),
        ("<missionId>S1B<", "<missionId>S2B<", "missionId is S2B"),
        ("<frame>Earth Fixed<", "<frame>GM2000<", "frame is GM2000"),
        ("<startTime>20", "<startTime>noon 20", "is no time"),
        ("<product>", '<!DOCTYPE product [<!ENTITY a "b">]><product>', "document type"),
        ("<product>", "<product><product>", "well-formed"),
    ],
)
def test_what_makes_no_sense_is_refused(document, found, replaced, message):
    assert found in document
    with pytest.raises(InputError, match=message):
        read_annotation(document.replace(found, replaced, 1).encode())


def test_state_vectors_out_of_order_are_refused(document):
    first, second = re.findall(r"<orbit><time>(.*?)</time>", document)[:2]
    mixed = document.replace(first, "X").replace(second, first).replace("X", second)
    with pytest.raises(InputError, match="not in order of time"):
        read_annotation(mixed.encode())


def test_the_orbit_goes_through_its_state_vectors(annotation):
    vectors, epoch = annotation.state_vectors, annotation.first_line_time
    orbit = Orbit.through(vectors, epoch)
    times = seconds_since(vectors.times, epoch)
    assert np.abs(orbit.position(times).T - vectors.positions).max() < 1e-3
    assert np.abs(orbit.velocity(times).T - vectors.velocities).max() < 1e-3


def test_accelerations_are_the_slope_of_velocities(annotation):
    orbit = Orbit.through(annotation.state_vectors, annotation.first_line_time)
    times = np.array([3.0])
    slope = (orbit.velocity(times + 0.01) - orbit.velocity(times - 0.01)) / 0.02
    assert orbit.acceleration(times) == pytest.approx(slope, rel=1e-6)


def test_a_state_vector_far_off_its_neighbours_is_refused(annotation):
    vectors = annotation.state_vectors
    vectors.positions[4, 0] += 500
    try:
        with pytest.raises(InputError, match="off the orbit"):
            Orbit.through(vectors, annotation.first_line_time)
    finally:
        vectors.positions[4, 0] -= 500


def test_a_precise_orbit_replaces_the_state_vectors(annotation):
    precise = read_orbit_file(orbit_file(annotation), "S1B")
    replaced = annotation.with_orbit(precise)
    assert replaced.state_vectors.source == "AUX_POEORB"
    orbits = [
        Orbit.through(vectors, annotation.first_line_time)
        for vectors in (annotation.state_vectors, replaced.state_vectors)
    ]
    first, second = (orbit.position(np.array([0.0, 1.0])) for orbit in orbits)
    assert first == pytest.approx(second, abs=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mission": "Sentinel-1A"}, "is of Sentinel-1A, but the product is of S1B"),
        ({"frame": "GM2000"}, "reference frame GM2000"),
        ({"kind": "AUX_CAL"}, "type AUX_CAL, expected AUX_POEORB"),
    ],
)
def test_an_orbit_file_that_does_not_fit_is_refused(annotation, options, message):
    with pytest.raises(InputError, match=message):
        read_orbit_file(orbit_file(annotation, **options), "S1B")


def test_an_orbit_file_of_another_day_is_refused(annotation):
    content = orbit_file(annotation).replace(b"UTC=2021-12-23", b"UTC=2021-12-24")
    with pytest.raises(InputError, match="do not cover 2021-12-23"):
        annotation.with_orbit(read_orbit_file(content, "S1B"))


def test_real_annotation_is_read(shared_data):
    (path,) = shared_data("s1-safe-sarsen").glob("*.SAFE/annotation/*.xml")
    annotation = read_annotation(path.read_bytes())
    assert (annotation.lines, annotation.samples) == (16705, 26102)
    assert (annotation.slice_number, annotation.datatake_id) == (9, 235923)
    assert len(annotation.state_vectors.times) == 16
    assert annotation.ground_range.coefficients.shape == (28, 9)
    assert annotation.grid.heights.max() == pytest.approx(1845.0, abs=0.1)


def test_both_polarisations_of_a_real_product_have_one_geometry(shared_data):
    (path,) = shared_data("s1-safe-pyrosar-metadata").glob("*.zip")
    with zipfile.ZipFile(path) as archive:
        names = [n for n in archive.namelist() if re.search(r"annotation/s1a.*xml$", n)]
        first, second = (read_annotation(archive.read(name)) for name in sorted(names))
    assert {first.polarisation, second.polarisation} == {"VV", "VH"}
    assert (first.lines, first.samples) == (second.lines, second.samples)
    assert first.grid.pixels == pytest.approx(second.grid.pixels)
