"""Numbers and times in the documents of Sentinel-1 products that make no sense are refused."""

import datetime as dt
import re
import tracemalloc

import numpy as np
import pytest

from candela.eo.s1.annotation import MAX_SIDE, read_annotation
from candela.eo.s1.calibration import read_calibration, read_noise
from candela.eo.s1.geometry import RangeDoppler
from candela.eo.s1.orbit import Orbit, read_orbit_file
from candela.eo.safe import parse_xml
from candela.errors import InputError
from candela.synthetic.sentinel1 import Acquisition
from candela.synthetic.sentinel1_xml import ProductSlice, annotation_xml, calibration_xml, noise_xml

SEEN = Acquisition(lines=400, samples=500)
OLD = Acquisition(lines=400, samples=500, ipf="002.72")
DAMAGES = ["nan", "inf", "-inf", "", "many", "1e30", "-1e30"]
NEGATIVE = [*DAMAGES, "-1"]
NOT_POSITIVE = [*NEGATIVE, "0"]


def part_of(acquisition):
    return ProductSlice(acquisition, 0, acquisition.lines, ("VV",))


ANNOTATION = annotation_xml(part_of(SEEN), "VV")
CALIBRATION = calibration_xml(part_of(SEEN), "VV")
NOISE = {"old": noise_xml(part_of(OLD), "VV"), "new": noise_xml(part_of(SEEN), "VV")}


def damaged(document, tag, value, *, word=None, after=""):
    """Put a value into the middle one of the elements of a name, or in place of a word of it."""
    start = document.index(after)
    found = list(re.finditer(rf"(<{tag}(?: [^>]*)?>)([^<]*)</{tag}>", document[start:]))
    old = found[len(found) // 2]
    words = old[2].split()
    words[slice(None) if word is None else slice(word, word + 1)] = [value]
    return document[: start + old.start(2)] + " ".join(words) + document[start + old.end(2) :]


def geometry(document):
    annotation = read_annotation(document.encode(), name="a.xml")
    model = RangeDoppler.of(annotation)
    model.check(annotation)
    return model


def cases(elements):
    return [
        pytest.param(tag, value, id=f"{tag}-{value or 'empty'}")
        for tag, values in elements.items()
        for value in values
    ]


def test_what_is_not_damaged_is_read():
    assert geometry(ANNOTATION).lines == 400


@pytest.mark.parametrize(
    ("tag", "value"),
    cases(
        {
            "rangePixelSpacing": NOT_POSITIVE,
            "azimuthPixelSpacing": NOT_POSITIVE,
            "azimuthTimeInterval": NOT_POSITIVE,
            "numberOfLines": [*NOT_POSITIVE, "400.5"],
            "numberOfSamples": [*NOT_POSITIVE, "500.5"],
            "absoluteOrbitNumber": NOT_POSITIVE,
            "missionDataTakeId": NOT_POSITIVE,
            "slantRangeTime": NOT_POSITIVE,
            "line": NEGATIVE,
            "pixel": NEGATIVE,
            "longitude": [*DAMAGES, "400"],
            "latitude": [*DAMAGES, "-91"],
            "height": [*DAMAGES, "-32768"],
            "incidenceAngle": NOT_POSITIVE,
            "sr0": NOT_POSITIVE,
            "srgrCoefficients": DAMAGES,
            "x": DAMAGES,
            "y": DAMAGES,
            "z": DAMAGES,
        }
    ),
)
def test_a_damaged_number_of_the_annotation_is_named(tag, value):
    with pytest.raises(InputError) as refusal:
        geometry(damaged(ANNOTATION, tag, value))
    message = refusal.value.message
    assert re.match(rf"a\.xml( has no |: )[\w/\[\]]*\b{tag}\b", message)
    assert not value or repr(value) in message


@pytest.mark.parametrize(
    ("tag", "value"),
    cases(
        {
            "rangePixelSpacing": ["5", "20"],
            "azimuthTimeInterval": ["0.001", "0.003"],
            "slantRangeTime": ["6.5e-3"],
            "line": ["399"],
            "pixel": ["499"],
            "longitude": ["-1"],
            "latitude": ["-1"],
            "height": ["9999"],
            "sr0": ["700000"],
            "srgrCoefficients": ["-1", "0", "1 1"],
            "x": ["-1"],
            "y": ["-1"],
            "z": ["-1"],
        }
    ),
)
def test_what_contradicts_the_rest_of_the_annotation_is_refused(tag, value):
    with pytest.raises(
        InputError, match=r"geolocationGridPoint\[|state vector|velocity"
    ) as refusal:
        geometry(damaged(ANNOTATION, tag, value))
    assert "a.xml" in refusal.value.message


TIMES = {
    "startTime": "<adsHeader>",
    "stopTime": "<adsHeader>",
    "productFirstLineUtcTime": "<imageInformation>",
    "time": "<orbitList",
    "azimuthTime": "<geolocationGrid>",
    "azimuthTime of a record": "<coordinateConversion>",
}


@pytest.mark.parametrize("tag", TIMES)
@pytest.mark.parametrize(
    "value",
    ["", "nan", "0000-01-01T00:00:00", "9999-12-31T23:59:59", "2021-02-30T00:00:00",
     "2014-06-01T00:00:00.5", "2031-06-01T00:00:00.5"],
)  # fmt: skip
def test_times_that_are_none_or_far_from_the_image_are_refused(tag, value):
    document = damaged(ANNOTATION, tag.split()[0], value, after=TIMES[tag])
    with pytest.raises(InputError, match=r"a\.xml"):
        geometry(document)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ("<startTime>", "<stopTime>", "stopTime is .*, expected a time after startTime"),
        ("<orbit><time>", "<orbit><time>", "state vectors are not in order"),
        ("<coordinateConversion><azimuthTime>", "<coordinateConversion><azimuthTime>",
         "coordinate conversions are not in order"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("change", ["exchange", "repeat"])
def test_times_out_of_order_are_refused(first, second, message, change):
    one = re.search(f"{first}([^<]*)", ANNOTATION)
    other = re.compile(f"{second}([^<]*)").search(ANNOTATION, one.end())
    times = (other[1], one[1]) if change == "exchange" else (one[1], one[1])
    document = (
        ANNOTATION[: one.start(1)]
        + times[0]
        + ANNOTATION[one.end(1) : other.start(1)]
        + times[1]
        + ANNOTATION[other.end(1) :]
    )
    with pytest.raises(InputError, match=rf"a\.xml: .*{message}"):
        geometry(document)


@pytest.mark.parametrize(
    "kept",
    [slice(1), slice(21), slice(0, None, 21), slice(105)],
    ids=["point", "line", "column", "half"],
)
def test_a_geolocation_grid_of_a_part_of_the_image_is_refused(kept):
    points = re.findall(r"<geolocationGridPoint>.*?</geolocationGridPoint>", ANNOTATION)
    document = ANNOTATION
    for point in set(points) - set(points[kept]):
        document = document.replace(point, "")
    with pytest.raises(InputError, match=r"a\.xml: geolocationGridPoint: none of \d+ is near"):
        geometry(document)


@pytest.mark.parametrize(
    ("tag", "value"),
    cases({"sigmaNought": NOT_POSITIVE, "betaNought": NOT_POSITIVE, "gamma": NOT_POSITIVE}),
)
@pytest.mark.parametrize("word", [0, 5, None], ids=["first", "sixth", "all"])
def test_a_damaged_number_of_a_calibration_table_is_named(tag, value, word):
    quantity = {"sigmaNought": "sigma0", "betaNought": "beta0", "gamma": "gamma0"}[tag]
    root = parse_xml(damaged(CALIBRATION, tag, value, word=word).encode(), "c.xml")
    with pytest.raises(InputError, match=rf"c\.xml.* [\w/]+\[\d+\]/{tag}"):
        read_calibration(root, quantity, 500, name="c.xml")
    for other in {"sigma0", "beta0", "gamma0"} - {quantity}:
        read_calibration(root, other, 500, name="c.xml")


@pytest.mark.parametrize(
    ("version", "tag", "value"),
    [
        (version, tag, value)
        for version, tags in {
            "old": {"noiseLut": NEGATIVE, "line": DAMAGES, "pixel": NEGATIVE},
            "new": {
                "noiseRangeLut": NEGATIVE,
                "noiseAzimuthLut": NEGATIVE,
                "pixel": NEGATIVE,
                "line": DAMAGES,
                "firstAzimuthLine": DAMAGES,
                "lastAzimuthLine": [*DAMAGES, "-1"],
                "lastRangeSample": NEGATIVE,
            },
        }.items()
        for tag, values in tags.items()
        for value in values
    ],
)
def test_a_damaged_number_of_a_noise_table_is_named(version, tag, value):
    root = parse_xml(damaged(NOISE[version], tag, value).encode(), "n.xml")
    with pytest.raises(InputError, match=rf"n\.xml.*\]/{tag}"):
        read_noise(root, 500, name="n.xml")


def hostile(vectors=1, numbers=1):
    """Return a calibration file with many vectors, or many numbers in each."""
    pixels = " ".join(map(str, range(numbers)))
    gains = " ".join(["400"] * numbers)
    elements = "".join(
        f"<calibrationVector><line>{line}</line><pixel>{pixels}</pixel>"
        f"<sigmaNought>{gains}</sigmaNought></calibrationVector>"
        for line in range(vectors)
    )
    document = f"<c><calibrationVectorList>{elements}</calibrationVectorList></c>"
    return parse_xml(document.encode(), "c.xml")


def test_a_table_too_large_for_memory_is_refused_before_it_is_made():
    root = hostile(vectors=42)
    tracemalloc.start()
    with pytest.raises(
        InputError,
        match=r"^c\.xml has 42 vectors of sigmaNought, expected at most 41 for an image of 200000",
    ):
        read_calibration(root, "sigma0", MAX_SIDE, name="c.xml")
    assert tracemalloc.get_traced_memory()[1] < MAX_SIDE
    tracemalloc.stop()


def test_a_vector_with_more_numbers_than_the_image_has_samples_is_refused():
    assert read_calibration(hostile(numbers=5), "sigma0", 5, name="c.xml").values.shape == (1, 5)
    with pytest.raises(
        InputError, match=r"calibrationVector\[1\]/pixel has more than 4 numbers, expected 1 to 4$"
    ):
        read_calibration(hostile(numbers=5), "sigma0", 4, name="c.xml")


def test_a_polynomial_of_very_many_coefficients_is_refused():
    coefficients = "<srgrCoefficients>" + " ".join(["1"] * 33)
    document = re.sub(r"<srgrCoefficients[^>]*>[^<]*", coefficients, ANNOTATION, count=1)
    with pytest.raises(InputError, match=r"srgrCoefficients has more than 32 numbers"):
        geometry(document)


def orbit_file(**values):
    """Return an orbit file with some values of its middle state vector replaced."""
    states = []
    for seconds in range(-70, 71, 10):
        position, velocity = SEEN.swath.orbit.state(np.array(float(seconds)))
        numbers = zip(("X", "Y", "Z", "VX", "VY", "VZ"), (*position, *velocity), strict=True)
        told = {"UTC": f"UTC={SEEN.middle + dt.timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S.%f}"}
        told |= {tag: f"{number:.6f}" for tag, number in numbers}
        told |= values if seconds == 0 else {}
        state = "".join(f"<{tag}>{text}</{tag}>" for tag, text in told.items())
        states.append(f"<OSV>{state}</OSV>")
    return (
        "<Earth_Explorer_File><File_Type>AUX_POEORB</File_Type><Mission>Sentinel-1B</Mission>"
        f"<Ref_Frame>EARTH_FIXED</Ref_Frame>{''.join(states)}</Earth_Explorer_File>"
    ).encode()


def orbit_of(content):
    vectors = read_orbit_file(content, "S1B", name="o.EOF")
    epoch = SEEN.middle.replace(tzinfo=dt.UTC)
    return Orbit.through(vectors.around(epoch, epoch), epoch)


@pytest.mark.parametrize(
    ("tag", "value"),
    cases(dict.fromkeys(("X", "Y", "Z", "VX", "VY", "VZ"), NOT_POSITIVE) | {"UTC": DAMAGES}),
)
def test_a_damaged_orbit_file_is_refused(tag, value):
    orbit_of(orbit_file())
    with pytest.raises(InputError, match=r"o\.EOF"):
        orbit_of(orbit_file(**{tag: value}))
