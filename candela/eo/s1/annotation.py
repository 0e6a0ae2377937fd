"""What the annotation of a Sentinel-1 ground-range product says: times, orbit, geometry."""

import datetime as dt
from dataclasses import dataclass, replace
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from candela.eo.s1.orbit import StateVectors, Times, make_state_vectors, parse_time
from candela.eo.safe import parse_xml
from candela.errors import InputError

Floats = NDArray[np.float64]

SPEED_OF_LIGHT = 299_792_458.0  # m / s
PLATFORMS = ("S1A", "S1B", "S1C", "S1D")
PASSES = {"Ascending": "ASC", "Descending": "DES"}
MAX_SIDE = 200_000  # pixels; the longest slices have some 30 000
MAX_RECORDS = 100_000


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
    document = _Document(parse_xml(content, name), name)
    if document.root.tag != "product":
        raise InputError(f"{name} has the root element {document.root.tag}, expected product")
    kind = document.text("adsHeader/productType")
    if kind != "GRD":
        raise InputError(f"{name} is of product type {kind}, expected GRD")
    image = document.below("imageAnnotation/imageInformation")
    header = document.below("adsHeader")
    return Annotation(
        platform=header.one_of("missionId", PLATFORMS),
        mode=header.text("mode"),
        product_type=kind,
        polarisation=header.one_of("polarisation", ("VV", "VH", "HH", "HV")),
        swath=header.text("swath"),
        start_time=header.time("startTime"),
        stop_time=header.time("stopTime"),
        first_line_time=image.time("productFirstLineUtcTime"),
        azimuth_time_interval=image.positive("azimuthTimeInterval"),
        lines=image.count("numberOfLines", MAX_SIDE),
        samples=image.count("numberOfSamples", MAX_SIDE),
        range_pixel_spacing=image.positive("rangePixelSpacing"),
        azimuth_pixel_spacing=image.positive("azimuthPixelSpacing"),
        absolute_orbit=header.count("absoluteOrbitNumber", 10_000_000),
        pass_direction=PASSES[
            document.one_of("generalAnnotation/productInformation/pass", tuple(PASSES))
        ],
        datatake_id=header.count("missionDataTakeId", 2**40),
        slice_number=int(image.number("sliceNumber", default=0.0)),
        state_vectors=_read_state_vectors(document),
        ground_range=_read_ground_range(document),
        grid=_read_grid(document),
    )


@dataclass(frozen=True)
class _Document:
    """An element, and how messages call the file it is in."""

    root: Element
    name: str
    path: str = ""

    def below(self, path: str) -> "_Document":
        element = self.root.find(path)
        if element is None:
            raise InputError(f"{self.name} has no {self.path}{path}")
        return _Document(element, self.name, f"{self.path}{path}/")

    def all(self, path: str) -> "list[_Document]":
        found = self.root.findall(path)
        if not 0 < len(found) <= MAX_RECORDS:
            raise InputError(
                f"{self.name} has {len(found)} {self.path}{path}, expected 1 to {MAX_RECORDS}"
            )
        return [_Document(element, self.name, f"{self.path}{path}/") for element in found]

    def text(self, path: str) -> str:
        text = (self.root.findtext(path) or "").strip()
        if not text:
            raise InputError(f"{self.name} has no {self.path}{path}")
        return text

    def one_of(self, path: str, allowed: tuple[str, ...]) -> str:
        text = self.text(path)
        if text not in allowed:
            raise InputError(
                f"{self.name}: {self.path}{path} is {text}, expected {' or '.join(allowed)}"
            )
        return text

    def time(self, path: str) -> dt.datetime:
        time = parse_time(self.text(path), self._called(path))
        return dt.datetime.fromisoformat(str(time)).replace(tzinfo=dt.UTC)

    def numbers(self, path: str) -> list[float]:
        text = self.text(path)
        try:
            numbers = [float(part) for part in text.split()]
        except ValueError:
            raise InputError(f"{self._called(path)} is {text[:40]!r}, expected numbers") from None
        if not np.isfinite(numbers).all():
            raise InputError(f"{self._called(path)} is not finite")
        return numbers

    def number(self, path: str, *, default: float | None = None) -> float:
        if default is not None and self.root.find(path) is None:
            return default
        numbers = self.numbers(path)
        if len(numbers) != 1:
            raise InputError(f"{self._called(path)} has {len(numbers)} numbers, expected one")
        return numbers[0]

    def positive(self, path: str) -> float:
        number = self.number(path)
        if number <= 0:
            raise InputError(f"{self._called(path)} is {number:g}, expected more than 0")
        return number

    def count(self, path: str, most: int) -> int:
        number = self.number(path)
        if not (number.is_integer() and 1 <= number <= most):
            raise InputError(f"{self._called(path)} is {number:g}, expected 1 to {most}")
        return int(number)

    def _called(self, path: str) -> str:
        return f"{self.name}: {self.path}{path}"


def _read_state_vectors(document: _Document) -> StateVectors:
    orbits = document.all("generalAnnotation/orbitList/orbit")
    for orbit in orbits:
        orbit.one_of("frame", ("Earth Fixed",))
    return make_state_vectors(
        [orbit.text("time") for orbit in orbits],
        [[orbit.number(f"position/{axis}") for axis in "xyz"] for orbit in orbits],
        [[orbit.number(f"velocity/{axis}") for axis in "xyz"] for orbit in orbits],
        source="annotation",
        name=document.name,
    )


def _read_ground_range(document: _Document) -> GroundRange:
    records = document.all("coordinateConversion/coordinateConversionList/coordinateConversion")
    coefficients = [record.numbers("srgrCoefficients") for record in records]
    size = max(map(len, coefficients))
    return GroundRange(
        times=_rising([record.time("azimuthTime") for record in records], document.name),
        origins=np.array([record.number("sr0") for record in records]),
        coefficients=np.array([values + [0.0] * (size - len(values)) for values in coefficients]),
    )


def _rising(times: list[dt.datetime], name: str) -> Times:
    array = np.array([time.replace(tzinfo=None) for time in times], dtype="datetime64[us]")
    if (np.diff(array).astype(np.int64) <= 0).any():
        raise InputError(f"{name}: the coordinate conversions are not in order of time")
    return array


def _read_grid(document: _Document) -> GeolocationGrid:
    points = document.all("geolocationGrid/geolocationGridPointList/geolocationGridPoint")

    def column(tag: str) -> Floats:
        return np.array([point.number(tag) for point in points])

    times = [point.time("azimuthTime").replace(tzinfo=None) for point in points]
    return GeolocationGrid(
        times=np.array(times, dtype="datetime64[us]"),
        slant_range_times=column("slantRangeTime"),
        lines=column("line"),
        pixels=column("pixel"),
        longitudes=column("longitude"),
        latitudes=column("latitude"),
        heights=column("height"),
        incidence_angles=column("incidenceAngle"),
    )
