"""The documents of a Sentinel-1 product."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from candela.synthetic.sentinel1_orbit import (
    MAJOR_AXIS,
    MINOR_AXIS,
    SPEED_OF_LIGHT,
    Floats,
    to_cartesian,
)

if TYPE_CHECKING:
    from candela.synthetic.sentinel1 import Acquisition

GRID = (10, 21)  # geolocation points along and across the flight, as in real products
POLYNOMIAL_DEGREE = 8
ORBIT_STEP_S = 10.0
LUT_STEP = 40  # pixels
NOISE_STEP = 10  # lines, of the azimuth look-up tables
SPEC = "http://www.esa.int/safe/sentinel-1.0"


class GridPoint(NamedTuple):
    """A point of the geolocation grid: degrees, metres."""

    line: int
    pixel: int
    longitude: float
    latitude: float
    height: float


@dataclass(frozen=True)
class ProductSlice:
    """Some of the lines of an acquisition.

    Attributes
    ----------
    acquisition : Acquisition
    first_line, lines : int
        Which of its lines.
    polarisations : tuple of str
    """

    acquisition: "Acquisition"
    first_line: int
    lines: int
    polarisations: tuple[str, ...]

    @property
    def start(self) -> dt.datetime:
        """When the first line was seen."""
        return self.moment(0)

    @property
    def stop(self) -> dt.datetime:
        """When the last line was seen."""
        return self.moment(self.lines - 1)

    def moment(self, line: float) -> dt.datetime:
        """Return when a line of the slice was seen."""
        seconds = float(self.acquisition.swath.time(np.array(line + self.first_line)))
        return self.acquisition.middle + dt.timedelta(seconds=seconds)

    @property
    def name(self) -> str:
        """Name of the product without ``.SAFE``."""
        a = self.acquisition
        return (
            f"{a.platform}_{a.mode}_{a.product_type:_<3}{'H' if a.product_type == 'GRD' else '_'}"
            f"_1S{self._kind}_{self.start:%Y%m%dT%H%M%S}_{self.stop:%Y%m%dT%H%M%S}"
            f"_{a.absolute_orbit:06d}_{a.datatake:06X}_{self.first_line + 0x1000:04X}"
        )

    @property
    def _kind(self) -> str:
        received = {polarisation[0] for polarisation in self.polarisations}
        return ("D" if len(self.polarisations) > 1 else "S") + min(received)

    def stem(self, polarisation: str) -> str:
        """Name of the files of a polarisation, without their ending."""
        a = self.acquisition
        return (
            f"{a.platform}-{a.mode}-{a.product_type}-{polarisation}-{self.start:%Y%m%dT%H%M%S}"
            f"-{self.stop:%Y%m%dT%H%M%S}-{a.absolute_orbit:06d}-{a.datatake:06x}"
            f"-{self.polarisations.index(polarisation) + 1:03d}"
        ).lower()

    @cached_property
    def grid_lines(self) -> list[int]:
        """Lines of the geolocation grid."""
        return _spread(self.lines, GRID[0])

    @cached_property
    def grid_pixels(self) -> list[int]:
        """Columns of the geolocation grid."""
        return _spread(self.acquisition.samples, GRID[1])

    def grid_points(self) -> Iterator[GridPoint]:
        """Yield the points of the geolocation grid, line by line."""
        lines, pixels = np.meshgrid(self.grid_lines, self.grid_pixels, indexing="ij")
        place = self.acquisition.swath.locate(
            lines + self.first_line, pixels, self.acquisition.height
        )
        for point in zip(lines.flat, pixels.flat, *(axis.flat for axis in place), strict=True):
            line, pixel, *position = point
            yield GridPoint(int(line), int(pixel), *(float(value) for value in position))


def annotation_xml(part: ProductSlice, polarisation: str) -> str:
    """Return the annotation of a polarisation: what geocoding needs of it."""
    a, swath = part.acquisition, part.acquisition.swath
    delay = 2 * swath.near_range / SPEED_OF_LIGHT
    heights = [
        f"<terrainHeight><azimuthTime>{_time(when)}</azimuthTime><value>{a.height}</value>"
        "</terrainHeight>"
        for when in (part.start, part.stop)
    ]
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<product>
  {_header(part, polarisation)}
  <generalAnnotation>
    <productInformation>
      <pass>{"Ascending" if a.direction == "ASC" else "Descending"}</pass>
      <projection>{"Ground Range" if a.product_type == "GRD" else "Slant Range"}</projection>
      <rangeSamplingRate>6.434523812571428e+07</rangeSamplingRate>
      <radarFrequency>5.405000454334350e+09</radarFrequency>
    </productInformation>
    {_orbit_list(part)}
    {_list("terrainHeightList", heights)}
    <azimuthFmRateList count="0"/>
  </generalAnnotation>
  <imageAnnotation>
    <imageInformation>
      <productFirstLineUtcTime>{_time(part.start)}</productFirstLineUtcTime>
      <productLastLineUtcTime>{_time(part.stop)}</productLastLineUtcTime>
      <slantRangeTime>{delay:.17e}</slantRangeTime>
      <pixelValue>Detected</pixelValue>
      <rangePixelSpacing>{a.pixel_m:.15e}</rangePixelSpacing>
      <azimuthPixelSpacing>{a.pixel_m:.15e}</azimuthPixelSpacing>
      <azimuthTimeInterval>{swath.line_interval:.15e}</azimuthTimeInterval>
      <azimuthFrequency>{1 / swath.line_interval:.15e}</azimuthFrequency>
      <numberOfSamples>{a.samples}</numberOfSamples>
      <numberOfLines>{part.lines}</numberOfLines>
    </imageInformation>
    <processingInformation>
      <thermalNoiseCorrectionPerformed>false</thermalNoiseCorrectionPerformed>
      <ellipsoidName>WGS84</ellipsoidName>
      <ellipsoidSemiMajorAxis>{MAJOR_AXIS:.15e}</ellipsoidSemiMajorAxis>
      <ellipsoidSemiMinorAxis>{MINOR_AXIS:.15e}</ellipsoidSemiMinorAxis>
    </processingInformation>
  </imageAnnotation>
  <dopplerCentroid><dcEstimateList count="0"/></dopplerCentroid>
  <swathTiming>
    <linesPerBurst>0</linesPerBurst><samplesPerBurst>0</samplesPerBurst><burstList count="0"/>
  </swathTiming>
  <geolocationGrid>
    {_geolocation_list(part)}
  </geolocationGrid>
  <coordinateConversion>
    {_conversion_list(part)}
  </coordinateConversion>
</product>
"""


def calibration_xml(part: ProductSlice, polarisation: str) -> str:
    """Return look-up tables of about the size and slope that real ones have."""
    pixels = _lut_pixels(part)
    fraction = pixels / max(1, part.acquisition.samples - 1)
    sigma = 660 - 110 * fraction + 8 * fraction**2
    tables = {
        "sigmaNought": sigma,
        "betaNought": np.full_like(sigma, 474.0),
        "gamma": sigma * np.sqrt(np.cos(np.radians(30.3 + 15.5 * fraction))),
        "dn": np.full_like(sigma, 401.5),
    }
    vectors = [
        f"<calibrationVector><azimuthTime>{_time(part.moment(line))}</azimuthTime>"
        f"<line>{line}</line>{_numbers('pixel', pixels, 'd')}"
        + "".join(_numbers(name, values * _drift(part, line)) for name, values in tables.items())
        + "</calibrationVector>"
        for line in _lut_lines(part)
    ]
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<calibration>
  {_header(part, polarisation)}
  <calibrationInformation>
    <absoluteCalibrationConstant>1.000000e+00</absoluteCalibrationConstant>
  </calibrationInformation>
  {_list("calibrationVectorList", vectors)}
</calibration>
"""


def noise_xml(part: ProductSlice, polarisation: str) -> str:
    """Return the noise tables: of range alone before IPF 2.90, since then of azimuth too."""
    pixels = _lut_pixels(part)
    fraction = pixels / max(1, part.acquisition.samples - 1)
    noise = 900 + 1400 * (fraction - 0.45) ** 2
    is_old = float(part.acquisition.ipf) < 2.9
    vector, lut = ("noiseVector", "noiseLut") if is_old else ("noiseRangeVector", "noiseRangeLut")
    ranges = [
        f"<{vector}><azimuthTime>{_time(part.moment(line))}</azimuthTime><line>{line}</line>"
        f"{_numbers('pixel', pixels, 'd')}{_numbers(lut, noise * _drift(part, line))}</{vector}>"
        for line in _lut_lines(part)
    ]
    azimuths = "" if is_old else _list("noiseAzimuthVectorList", _azimuth_vectors(part))
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<noise>
  {_header(part, polarisation)}
  {_list(f"{vector}List", ranges)}
  {azimuths}
</noise>
"""


def manifest_xml(part: ProductSlice) -> str:
    """Return the manifest: platform, orbit, processor, footprint and the list of files."""
    a = part.acquisition
    files = [
        (schema, name)
        for polarisation in part.polarisations
        for schema, name in _files(part.stem(polarisation))
    ]
    objects = "".join(
        f'<dataObject ID="{name.rsplit("/")[-1].split(".")[0].replace("-", "")}" '
        f'repID="{schema}"><byteStream><fileLocation locatorType="URL" href="./{name}"/>'
        "</byteStream></dataObject>"
        for schema, name in files
    )
    corners = [
        point
        for point in part.grid_points()
        if point.line in {0, part.lines - 1} and point.pixel in {0, a.samples - 1}
    ]
    ring = [corners[index] for index in (0, 1, 3, 2)]
    footprint = " ".join(f"{point.latitude:.6f},{point.longitude:.6f}" for point in ring)
    polarisations = "".join(
        f"<s1sarl1:transmitterReceiverPolarisation>{name}</s1sarl1:transmitterReceiverPolarisation>"
        for name in part.polarisations
    )
    metadata = {
        "processing": f"""<safe:processing name="GRD Post Processing" start="{_time(part.stop)}">
      <safe:facility organisation="none" name="synthetic">
        <safe:software name="Sentinel-1 IPF" version="{a.ipf}"/>
      </safe:facility></safe:processing>""",
        "platform": f"""<safe:platform>
      <safe:familyName>SENTINEL-1</safe:familyName><safe:number>{a.platform[-1]}</safe:number>
      <safe:instrument><safe:extension><s1sarl1:instrumentMode>
        <s1sarl1:mode>{a.mode}</s1sarl1:mode><s1sarl1:swath>{a.mode}</s1sarl1:swath>
      </s1sarl1:instrumentMode></safe:extension></safe:instrument></safe:platform>""",
        "measurementOrbitReference": f"""<safe:orbitReference>
      <safe:orbitNumber type="start">{a.absolute_orbit}</safe:orbitNumber>
      <safe:relativeOrbitNumber type="start">{a.relative_orbit}</safe:relativeOrbitNumber>
      <safe:extension><s1:orbitProperties>
        <s1:pass>{"ASCENDING" if a.direction == "ASC" else "DESCENDING"}</s1:pass>
      </s1:orbitProperties></safe:extension></safe:orbitReference>""",
        "generalProductInformation": f"""<s1sarl1:standAloneProductInformation>
      <s1sarl1:missionDataTakeID>{a.datatake}</s1sarl1:missionDataTakeID>{polarisations}
      <s1sarl1:productType>{a.product_type}</s1sarl1:productType>
      </s1sarl1:standAloneProductInformation>""",
        "acquisitionPeriod": f"""<safe:acquisitionPeriod>
      <safe:startTime>{_time(part.start)}</safe:startTime>
      <safe:stopTime>{_time(part.stop)}</safe:stopTime></safe:acquisitionPeriod>""",
        "measurementFrameSet": f"""<safe:frameSet><safe:frame>
      <safe:footPrint srsName="http://www.opengis.net/gml/srs/epsg.xml#4326">
        <gml:coordinates>{footprint}</gml:coordinates>
      </safe:footPrint></safe:frame></safe:frameSet>""",
    }
    section = "\n".join(
        f'<metadataObject ID="{name}"><metadataWrap><xmlData>{text}</xmlData></metadataWrap>'
        "</metadataObject>"
        for name, text in metadata.items()
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<xfdu:XFDU xmlns:gml="http://www.opengis.net/gml" xmlns:xfdu="urn:ccsds:schema:xfdu:1"
    xmlns:safe="{SPEC}" xmlns:s1="{SPEC}/sentinel-1"
    xmlns:s1sarl1="{SPEC}/sentinel-1/sar/level-1" version="esa/safe/sentinel-1.0/sentinel-1">
  <metadataSection>{section}</metadataSection>
  <dataObjectSection>{objects}</dataObjectSection>
</xfdu:XFDU>
"""


def _files(stem: str) -> Iterator[tuple[str, str]]:
    yield "s1Level1ProductSchema", f"annotation/{stem}.xml"
    yield "s1Level1CalibrationSchema", f"annotation/calibration/calibration-{stem}.xml"
    yield "s1Level1NoiseSchema", f"annotation/calibration/noise-{stem}.xml"
    yield "s1Level1MeasurementSchema", f"measurement/{stem}.tiff"


def _header(part: ProductSlice, polarisation: str) -> str:
    a = part.acquisition
    return (
        f"<adsHeader><missionId>{a.platform}</missionId><productType>{a.product_type}</productType>"
        f"<polarisation>{polarisation}</polarisation><mode>{a.mode}</mode><swath>{a.mode}</swath>"
        f"<startTime>{_time(part.start)}</startTime><stopTime>{_time(part.stop)}</stopTime>"
        f"<absoluteOrbitNumber>{a.absolute_orbit}</absoluteOrbitNumber>"
        f"<missionDataTakeId>{a.datatake}</missionDataTakeId>"
        f"<imageNumber>{part.polarisations.index(polarisation) + 1:03d}</imageNumber></adsHeader>"
    )


def _orbit_list(part: ProductSlice) -> str:
    a = part.acquisition
    length = a.lines * a.swath.line_interval
    steps = int(np.ceil(length / 2 / ORBIT_STEP_S)) + 6
    states = []
    for step in range(-steps, steps + 1):
        seconds = step * ORBIT_STEP_S
        position, velocity = a.swath.orbit.state(np.array(seconds))
        when = a.middle + dt.timedelta(seconds=seconds)
        states.append(
            f"<orbit><time>{_time(when)}</time><frame>Earth Fixed</frame>"
            f"<position>{_xyz(position)}</position><velocity>{_xyz(velocity)}</velocity></orbit>"
        )
    return _list("orbitList", states)


def _geolocation_list(part: ProductSlice) -> str:
    swath = part.acquisition.swath
    points = []
    for point in part.grid_points():
        time = swath.time(np.array(point.line + part.first_line))
        ground = np.array(to_cartesian(*(np.array(value) for value in point[2:])))
        position, _ = swath.orbit.state(time)
        look = position - ground
        lon, lat = np.radians(point.longitude), np.radians(point.latitude)
        up = np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
        distance = float(np.linalg.norm(look))
        incidence = np.degrees(np.arccos(look @ up / distance))
        elevation = np.degrees(np.arccos(look @ position / distance / np.linalg.norm(position)))
        points.append(
            f"<geolocationGridPoint><azimuthTime>{_time(part.moment(point.line))}</azimuthTime>"
            f"<slantRangeTime>{2 * distance / SPEED_OF_LIGHT:.17e}</slantRangeTime>"
            f"<line>{point.line}</line><pixel>{point.pixel}</pixel>"
            f"<latitude>{point.latitude:.15e}</latitude>"
            f"<longitude>{point.longitude:.15e}</longitude><height>{point.height:.15e}</height>"
            f"<incidenceAngle>{incidence:.15e}</incidenceAngle>"
            f"<elevationAngle>{elevation:.15e}</elevationAngle></geolocationGridPoint>"
        )
    return _list("geolocationGridPointList", points)


def _conversion_list(part: ProductSlice) -> str:
    """Fit polynomials between slant and ground range, a record for each second or more."""
    swath = part.acquisition.swath
    seconds = (part.stop - part.start).total_seconds()
    ground = np.linspace(0, part.acquisition.samples * swath.pixel_m, 200)
    records = []
    for offset in np.linspace(-1, seconds + 1, 3 + int(seconds)):
        time = swath.time(np.array(part.first_line)) + offset
        slant = swath.slant_range(ground, time)
        when = part.start + dt.timedelta(seconds=float(offset))
        records.append(
            f"<coordinateConversion><azimuthTime>{_time(when)}</azimuthTime>"
            f"<slantRangeTime>{2 * swath.near_range / SPEED_OF_LIGHT:.17e}</slantRangeTime>"
            f"<sr0>{swath.near_range:.15e}</sr0>"
            f"{_numbers('srgrCoefficients', _fit(slant - swath.near_range, ground), '.15e')}"
            f"<gr0>0.000000000000000e+00</gr0>"
            f"{_numbers('grsrCoefficients', _fit(ground, slant), '.15e')}</coordinateConversion>"
        )
    return _list("coordinateConversionList", records)


def _fit(x: Floats, y: Floats) -> Floats:
    """Return the coefficients of a polynomial, that of the lowest power first."""
    polynomial = np.polynomial.Polynomial.fit(x, y, POLYNOMIAL_DEGREE).convert()
    coefficients: Floats = np.zeros(POLYNOMIAL_DEGREE + 1)
    coefficients[: len(polynomial.coef)] = polynomial.coef
    return coefficients


def _azimuth_vectors(part: ProductSlice) -> list[str]:
    """Return blocks for three sub-swaths, with the ripple of bursts."""
    samples = part.acquisition.samples
    borders = [0, samples // 3, 2 * samples // 3, samples]
    lines = np.array(_steps(part.lines, NOISE_STEP))
    ripple = 1 + 0.1 * np.cos(2 * np.pi * (lines + part.first_line) / 120) ** 2
    return [
        f"<noiseAzimuthVector><swath>{part.acquisition.mode}{number}</swath>"
        f"<firstAzimuthLine>0</firstAzimuthLine><firstRangeSample>{start}</firstRangeSample>"
        f"<lastAzimuthLine>{part.lines - 1}</lastAzimuthLine>"
        f"<lastRangeSample>{stop - 1}</lastRangeSample>{_numbers('line', lines, 'd')}"
        f"{_numbers('noiseAzimuthLut', ripple)}</noiseAzimuthVector>"
        for number, (start, stop) in enumerate(pairwise(borders), 1)
    ]


def _drift(part: ProductSlice, line: int) -> float:
    """Let tables change from line to line, the same wherever the acquisition is cut."""
    return 1 + 1e-5 * (line + part.first_line)


def _lut_pixels(part: ProductSlice) -> NDArray[np.int64]:
    return np.array(_steps(part.acquisition.samples, LUT_STEP))


def _lut_lines(part: ProductSlice) -> list[int]:
    """Lines of the look-up tables: as in real products from before the image to behind it."""
    return [-100, *_spread(part.lines, 4), part.lines + 100]


def _steps(length: int, step: int) -> list[int]:
    return [*range(0, length - 1, step), length - 1]


def _spread(length: int, count: int) -> list[int]:
    return [round(float(value)) for value in np.linspace(0, length - 1, min(count, length))]


def _time(when: dt.datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%S.%f")


def _xyz(values: Floats) -> str:
    return "".join(
        f"<{name}>{value:.9e}</{name}>" for name, value in zip("xyz", values, strict=True)
    )


def _numbers(name: str, values: Sequence[float] | NDArray[np.generic], form: str = ".8e") -> str:
    text = " ".join(f"{value:{form}}" for value in values)
    return f'<{name} count="{len(values)}">{text}</{name}>'


def _list(name: str, items: Sequence[str]) -> str:
    return f'<{name} count="{len(items)}">' + "\n".join(items) + f"</{name}>"
