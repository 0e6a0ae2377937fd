"""What the annotation of a Sentinel-1 ground-range product says: times, orbit, geometry."""

import datetime as dt
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from candela.eo.document import Limits, Section
from candela.eo.s1.orbit import (
    POSITION_M,
    VELOCITY_M_S,
    StateVectors,
    Times,
    as_datetime64,
    make_state_vectors,
    parse_time,
)
from candela.eo.safe import parse_xml
from candela.errors import InputError

Floats = NDArray[np.float64]

SPEED_OF_LIGHT = 299_792_458.0  # m / s
PLATFORMS = ("S1A", "S1B", "S1C", "S1D")
PASSES = {"Ascending": "ASC", "Descending": "DES"}
MAX_SIDE = 200_000  # pixels; the longest slices have some 30 000
MAX_RECORDS = 100_000
MAX_COEFFICIENTS = 32  # of a polynomial; real ones have 9
MAX_DELAY = np.timedelta64(600, "s")  # of what the annotation tells of, from the image

# What numbers can be, with room: messages tell of damage, not of unusual products.
LINE_INTERVAL_S = Limits(1e-5, 1.0)
PIXEL_SPACING_M = Limits(0.1, 1000)
SLANT_RANGE_TIME_S = Limits(1e-3, 2e-2)  # two-way; some 5.5e-3
SLANT_RANGE_M = Limits(1e5, 3e6)
COEFFICIENT = Limits(-1e7, 1e7)
IMAGE_PLACE = Limits(0, MAX_SIDE)
LONGITUDE = Limits(-360, 360)
LATITUDE = Limits(-90, 90)
HEIGHT_M = Limits(-1000, 10_000)
INCIDENCE_ANGLE = Limits(1, 89)


@dataclass(frozen=True, eq=False)
class GroundRange:
    """How slant range becomes ground range: polynomials for some times.

    Attributes
    ----------
    times : ndarray, shape (n,), datetime64[us]
        When each polynomial holds; between them, the results are blended linearly.
    origins : ndarray, shape (n,), float64
        Slant range at which the polynomial's variable is 0, metres.
    coefficients : ndarray, shape (n, k), float64
        Ground range in metres, lowest power first.
    """

    times: Times
    origins: Floats
    coefficients: Floats

    def evaluate(self, records: NDArray[np.int_], slant_ranges: Floats) -> Floats:
        """Return ground ranges in metres after given polynomials, arrays of one shape."""
        variable = slant_ranges - self.origins[records]
        total: Floats = self.coefficients[records, -1]
        for power in range(self.coefficients.shape[1] - 2, -1, -1):
            total = total * variable + self.coefficients[records, power]
        return total


@dataclass(frozen=True, eq=False)
class GeolocationGrid:
    """Points of the image whose place the processor worked out; all arrays have one shape (n,).

    Attributes
    ----------
    times : ndarray, datetime64[us]
        Zero-Doppler azimuth time, UTC.
    slant_range_times : ndarray, float64
        Two-way, seconds.
    lines, pixels : ndarray, float64
        Position in the image, from 0.
    longitudes, latitudes : ndarray, float64
        Degrees, WGS 84.
    heights : ndarray, float64
        Of the terrain model that the processor used, metres above the ellipsoid.
    incidence_angles : ndarray, float64
        At the ellipsoid, degrees.
    """

    times: Times
    slant_range_times: Floats
    lines: Floats
    pixels: Floats
    longitudes: Floats
    latitudes: Floats
    heights: Floats
    incidence_angles: Floats


@dataclass(frozen=True, eq=False)
class Annotation:
    """One image (swath and polarisation) of a Sentinel-1 ground-range product.

    Attributes
    ----------
    platform : str
        ``S1A`` ... ``S1D``.
    mode : str
        ``IW``, ``EW`` or ``S1`` ... ``S6``.
    product_type : str
        Always ``GRD``.
    polarisation : str
        ``VV``, ``VH``, ``HH`` or ``HV``.
    swath : str
        As ``mode``.
    start_time, stop_time : datetime
        UTC, as in the product's name.
    first_line_time : datetime
        Zero-Doppler time of line 0, UTC.
    azimuth_time_interval : float
        From line to line, seconds.
    lines, samples : int
        Size of the image.
    range_pixel_spacing, azimuth_pixel_spacing : float
        Metres on the ground.
    absolute_orbit : int
        Counted from the launch.
    pass_direction : str
        ``ASC`` or ``DES``.
    datatake_id : int
        The same for all slices of one acquisition.
    slice_number : int
        Which slice of the datatake this is; 0 if it is no slice.
    state_vectors : StateVectors
        Of the orbit.
    ground_range : GroundRange
        From slant range to ground range.
    grid : GeolocationGrid
        Points with known place.
    name : str
        What messages call the file.
    """

    platform: str
    mode: str
    product_type: str
    polarisation: str
    swath: str
    start_time: dt.datetime
    stop_time: dt.datetime
    first_line_time: dt.datetime
    azimuth_time_interval: float
    lines: int
    samples: int
    range_pixel_spacing: float
    azimuth_pixel_spacing: float
    absolute_orbit: int
    pass_direction: str
    datatake_id: int
    slice_number: int
    state_vectors: StateVectors
    ground_range: GroundRange
    grid: GeolocationGrid
    name: str

    @property
    def last_line_time(self) -> dt.datetime:
        """Zero-Doppler time of the last line, UTC."""
        return self.first_line_time + dt.timedelta(
            seconds=self.azimuth_time_interval * (self.lines - 1)
        )

    def with_orbit(self, vectors: StateVectors) -> "Annotation":
        """Return the annotation with other state vectors, those of a precise orbit file, say.

        Raises
        ------
        InputError
            If they do not cover the image.
        """
        return replace(
            self, state_vectors=vectors.around(self.first_line_time, self.last_line_time)
        )


def read_annotation(content: bytes, *, name: str = "annotation") -> Annotation:
    """Read the annotation file of one image.

    Parameters
    ----------
    content : bytes
        ``annotation/s1?-iw-grd-*.xml`` of the product.
    name : str
        What messages call it.

    Returns
    -------
    Annotation

    Raises
    ------
    InputError
        If it is of another product type, or something that is needed is absent or makes no sense;
        the message names the element.

    References
    ----------
    .. [1] ESA, Sentinel-1 Product Specification, S1-RS-MDA-52-7441.
    """
    document = Section(parse_xml(content, name), name)
    tag = document.element.tag
    if tag != "product":
        raise InputError(f"{name} has the root element {tag}, expected product")
    kind = document.text("adsHeader/productType")
    if kind != "GRD":
        raise InputError(f"{name} is of product type {kind}, expected GRD")
    image = document.below("imageAnnotation/imageInformation")
    header = document.below("adsHeader")
    annotation = Annotation(
        platform=header.one_of("missionId", PLATFORMS),
        mode=header.text("mode"),
        product_type=kind,
        polarisation=header.one_of("polarisation", ("VV", "VH", "HH", "HV")),
        swath=header.text("swath"),
        start_time=_time(header, "startTime"),
        stop_time=_time(header, "stopTime"),
        first_line_time=_time(image, "productFirstLineUtcTime"),
        azimuth_time_interval=image.number("azimuthTimeInterval", LINE_INTERVAL_S),
        lines=image.whole("numberOfLines", Limits(1, MAX_SIDE)),
        samples=image.whole("numberOfSamples", Limits(1, MAX_SIDE)),
        range_pixel_spacing=image.number("rangePixelSpacing", PIXEL_SPACING_M),
        azimuth_pixel_spacing=image.number("azimuthPixelSpacing", PIXEL_SPACING_M),
        absolute_orbit=header.whole("absoluteOrbitNumber", Limits(1, 10_000_000)),
        pass_direction=PASSES[
            document.one_of("generalAnnotation/productInformation/pass", tuple(PASSES))
        ],
        datatake_id=header.whole("missionDataTakeId", Limits(1, 2**40)),
        slice_number=_slice_number(image),
        state_vectors=_read_state_vectors(document),
        ground_range=_read_ground_range(document),
        grid=_read_grid(document),
        name=name,
    )
    _check_times(annotation)
    return annotation


def _time(section: Section, path: str) -> dt.datetime:
    time = parse_time(section.text(path), section.called(path))
    return dt.datetime.fromisoformat(str(time)).replace(tzinfo=dt.UTC)


def _times(sections: list[Section], path: str) -> Times:
    times = [parse_time(section.text(path), section.called(path)) for section in sections]
    return np.array(times, dtype="datetime64[us]")


def _slice_number(image: Section) -> int:
    if image.element.find("sliceNumber") is None:
        return 0
    return image.whole("sliceNumber", Limits(0, 1000))


def _check_times(annotation: Annotation) -> None:
    """Check that all that the annotation tells of was at about the time of the image."""
    name, start, stop = annotation.name, annotation.start_time, annotation.stop_time
    if stop <= start:
        raise InputError(f"{name}: stopTime is {stop}, expected a time after startTime, {start}")
    first = as_datetime64(annotation.first_line_time) - MAX_DELAY
    last = as_datetime64(annotation.last_line_time) + MAX_DELAY
    for what, times in (
        ("startTime", np.array([as_datetime64(start)])),
        ("stopTime", np.array([as_datetime64(stop)])),
        ("azimuthTime of a coordinateConversion", annotation.ground_range.times),
        ("azimuthTime of a geolocationGridPoint", annotation.grid.times),
    ):
        beyond = times[(times < first) | (times > last)]
        if beyond.size:
            raise InputError(
                f"{name}: {what} is {beyond[0]}, expected a time from {first} to {last}, which "
                f"is {MAX_DELAY} around the image"
            )


def _read_state_vectors(document: Section) -> StateVectors:
    orbits = document.all("generalAnnotation/orbitList/orbit", MAX_RECORDS)
    for orbit in orbits:
        orbit.one_of("frame", ("Earth Fixed",))
    return make_state_vectors(
        [orbit.text("time") for orbit in orbits],
        [[orbit.number(f"position/{axis}", POSITION_M) for axis in "xyz"] for orbit in orbits],
        [[orbit.number(f"velocity/{axis}", VELOCITY_M_S) for axis in "xyz"] for orbit in orbits],
        source="annotation",
        name=document.document,
    )


def _read_ground_range(document: Section) -> GroundRange:
    path = "coordinateConversion/coordinateConversionList/coordinateConversion"
    records = document.all(path, MAX_RECORDS)
    coefficients = [
        record.numbers("srgrCoefficients", COEFFICIENT, most=MAX_COEFFICIENTS) for record in records
    ]
    padded = np.zeros((len(records), max(map(len, coefficients))))
    for row, values in zip(padded, coefficients, strict=True):
        row[: len(values)] = values
    times = _times(records, "azimuthTime")
    if (np.diff(times).astype(np.int64) <= 0).any():
        raise InputError(
            f"{document.document}: the coordinate conversions are not in order of time"
        )
    origins = np.array([record.number("sr0", SLANT_RANGE_M) for record in records])
    return GroundRange(times, origins, padded)


def _read_grid(document: Section) -> GeolocationGrid:
    path = "geolocationGrid/geolocationGridPointList/geolocationGridPoint"
    points = document.all(path, MAX_RECORDS)

    def column(tag: str, limits: Limits) -> Floats:
        return np.array([point.number(tag, limits) for point in points])

    return GeolocationGrid(
        times=_times(points, "azimuthTime"),
        slant_range_times=column("slantRangeTime", SLANT_RANGE_TIME_S),
        lines=column("line", IMAGE_PLACE),
        pixels=column("pixel", IMAGE_PLACE),
        longitudes=column("longitude", LONGITUDE),
        latitudes=column("latitude", LATITUDE),
        heights=column("height", HEIGHT_M),
        incidence_angles=column("incidenceAngle", INCIDENCE_ANGLE),
    )
