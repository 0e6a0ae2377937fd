"""What a Sentinel-2 product says of itself: names, dates, scale and offsets."""

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from affine import Affine

from candela.eo.document import Limits, read_number, read_whole
from candela.eo.file_names import file_name
from candela.eo.raster.grid import Grid, Shape
from candela.eo.reference_system import reference_system
from candela.errors import InputError

BANDS = (
    "B01",
    "B02",
    "B03",
    "B04",
    "B05",
    "B06",
    "B07",
    "B08",
    "B8A",
    "B09",
    "B10",
    "B11",
    "B12",
)  # fmt: skip - ESA's names in the order of ESA's band numbers 0..12
DEFAULT_BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
TILE = re.compile(r"(?<![A-Z0-9])T(\d{2}[C-X][A-Z]{2})(?![A-Z0-9])")
_DATE = re.compile(r"(?<!\d)((?:19|20)\d{2})-?([01]\d)-?([0-3]\d)(T\d{6})?(?!\d)")

# What numbers can be, with room: messages tell of damage, not of unusual products.
QUANTIFICATION = Limits(1, 1e6)  # 10 000
OFFSET = Limits(-65535, 65535)  # of digital numbers; -1000
DIGITAL_NUMBER = Limits(0, 65535)
RELATIVE_ORBIT = Limits(1, 143)
PLACE_M = Limits(-1e8, 1e8)
PIXEL_M = Limits(1, 1000)
SIDE = Limits(1, 200_000)  # pixels
TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Metadata:
    """The names and dates of one image; they travel as tags of every raster made from it.

    Attributes
    ----------
    product_id : str
        The product's name without ``.SAFE``.
    sensing_time : datetime
        Start of the datatake in UTC, to the second: it stays the same when ESA processes again.
    tile_id : str
        ``T31TCJ``.
    relative_orbit : int
        1..143.
    platform : str
        ``S2A``, ``S2B`` or ``S2C``.
    level : str
        ``L1C`` or ``L2A``.
    processing_baseline : str
        ``04.00``.
    """

    product_id: str
    sensing_time: dt.datetime
    tile_id: str
    relative_orbit: int
    platform: str
    level: str
    processing_baseline: str

    @property
    def image_id(self) -> str:
        """A name for files: the product's, with the tile where the product has several."""
        if self.tile_id in self.product_id:
            return self.product_id
        return f"{self.product_id}_{self.tile_id}"

    def to_tags(self) -> dict[str, str]:
        """Return the dataset tags that say all this."""
        return {
            "PRODUCT_ID": self.product_id,
            "SENSING_TIME": self.sensing_time.strftime(TIME),
            "TILE_ID": self.tile_id,
            "RELATIVE_ORBIT": str(self.relative_orbit),
            "PLATFORM": self.platform,
            "LEVEL": self.level,
            "PROCESSING_BASELINE": self.processing_baseline,
        }

    @classmethod
    def from_tags(cls, tags: Mapping[str, str], name: str = "") -> "Metadata":
        """Read it back; only the time must be there, or in the name of the file.

        Raises
        ------
        InputError
            If there is no time.
        """
        time = sensing_time(tags, name)
        if time is None:
            raise InputError("the image has no tag SENSING_TIME")
        orbit = tags.get("RELATIVE_ORBIT", "")
        return cls(
            product_id=tags.get("PRODUCT_ID", ""),
            sensing_time=time,
            tile_id=tags.get("TILE_ID") or find_tile(name),
            relative_orbit=int(orbit) if orbit.isdecimal() else 0,
            platform=tags.get("PLATFORM", ""),
            level=tags.get("LEVEL", ""),
            processing_baseline=tags.get("PROCESSING_BASELINE", ""),
        )


@dataclass(frozen=True)
class Radiometry:
    """How digital numbers become reflectance: (number + offset) / quantification.

    Attributes
    ----------
    quantification : float
        10 000 in all products of the mission's routine operation.
    offsets : dict of str to float
        What to add to the digital numbers of each band; -1000 since baseline 04.00, before it 0.
    nodata, saturated : int
        Digital numbers that are codes.
    """

    quantification: float
    offsets: dict[str, float]
    nodata: int
    saturated: int


@dataclass(frozen=True)
class ProductDocument:
    """What the product's own metadata file says."""

    product_id: str
    sensing_time: dt.datetime
    relative_orbit: int
    platform: str
    level: str
    processing_baseline: str
    radiometry: Radiometry
    image_names: frozenset[str] = frozenset()  # of its images, without ending

    def metadata(self, tile_id: str) -> Metadata:
        """Return names and dates of the image of one tile."""
        return Metadata(
            product_id=self.product_id,
            sensing_time=self.sensing_time,
            tile_id=tile_id,
            relative_orbit=self.relative_orbit,
            platform=self.platform,
            level=self.level,
            processing_baseline=self.processing_baseline,
        )


def read_product_document(root: Element, name: str, fallback_id: str) -> ProductDocument:
    """Read ``MTD_MSIL1C.xml``, ``MTD_MSIL2A.xml``, or the old files of the same kind.

    Parameters
    ----------
    root : Element
        The document.
    name : str
        What messages call it.
    fallback_id : str
        Product name, if the document has none.

    Raises
    ------
    InputError
        If something that is needed is absent or no number.
    """
    level = _text(root, name, "PROCESSING_LEVEL")
    found = re.fullmatch(r"Level-(1C|2A)p?", level)
    if not found:
        raise InputError(f"{name}: level {level} is not supported (supported: Level-1C, Level-2A)")
    start = _text(root, name, "DATATAKE_SENSING_START", "PRODUCT_START_TIME")
    identifier = _text(root, name, "PRODUCT_URI", "PRODUCT_URI_2A", default=fallback_id)
    return ProductDocument(
        product_id=file_name(
            identifier.rstrip("/"), file_name(fallback_id, "product")
        ).removesuffix(".SAFE"),
        sensing_time=parse_time(start, name),
        relative_orbit=_whole(root, name, RELATIVE_ORBIT, "SENSING_ORBIT_NUMBER"),
        platform=_text(root, name, "SPACECRAFT_NAME").replace("Sentinel-", "S"),
        level=f"L{found[1]}",
        processing_baseline=_text(root, name, "PROCESSING_BASELINE"),
        radiometry=_read_radiometry(root, name),
        image_names=frozenset(
            (element.text or "").strip().rpartition("/")[2]
            for tag in ("IMAGE_FILE", "IMAGE_FILE_2A", "IMAGE_ID", "IMAGE_ID_2A")
            for element in _elements(root, tag)
        ),
    )


def read_tile_id(root: Element) -> str:
    """Return what a tile's metadata says which tile it is: ``T31TCJ``, or nothing."""
    return find_tile(_text(root, "", "TILE_ID", "TILE_ID_2A", default=""))


def find_tile(name: str) -> str:
    """Return the id of the tile in a name, with ``T`` before it, or nothing."""
    found = TILE.search(name.replace("_", " "))
    return f"T{found[1]}" if found else ""


def read_geocoding(root: Element, name: str) -> dict[int, Grid]:
    """Read the grids of 10, 20 and 60 m from a tile's metadata; none if they are absent.

    Raises
    ------
    InputError
        If they are there but make no sense.
    """
    code = _text(root, name, "HORIZONTAL_CS_CODE", default="")
    if not code:
        return {}
    crs = reference_system(code, name)
    places = {_resolution(e, name): e for e in _elements(root, "Geoposition")}
    sizes = {_resolution(e, name): e for e in _elements(root, "Size")}
    grids = {}
    for pixel in places.keys() & sizes.keys():
        left, top = (_number(places[pixel], name, PLACE_M, tag) for tag in ("ULX", "ULY"))
        width = _number(places[pixel], name, PIXEL_M, "XDIM")
        height = _number(places[pixel], name, Limits(-PIXEL_M.most, -PIXEL_M.least), "YDIM")
        shape = Shape(*(_whole(sizes[pixel], name, SIDE, tag) for tag in ("NROWS", "NCOLS")))
        grids[pixel] = Grid(crs, Affine(width, 0, left, 0, height, top), shape)
    return grids


def _resolution(element: Element, name: str) -> int:
    return read_whole(element.get("resolution", "0"), f"{name}: resolution", Limits(0, 1000))


def parse_time(text: str, name: str) -> dt.datetime:
    """Read an ISO 8601 time in UTC, to the second.

    Raises
    ------
    InputError
        If it is none.
    """
    try:
        time = dt.datetime.fromisoformat(text)
        if time.tzinfo is None:
            time = time.replace(tzinfo=dt.UTC)
        return time.astimezone(dt.UTC).replace(microsecond=0)
    except (ValueError, OverflowError):  # the second in the year 1 or 9999, with a zone
        raise InputError(f"{name}: {text} is no ISO 8601 time") from None


def sensing_time(tags: Mapping[str, str], name: str) -> dt.datetime | None:
    """Return when an image was taken, by its tags, else by a date in its name; None if unknown.

    Raises
    ------
    InputError
        If the tag ``SENSING_TIME`` is no date.
    """
    if tags.get("SENSING_TIME"):
        return parse_time(tags["SENSING_TIME"], "tag SENSING_TIME")
    for found in _DATE.finditer(name):
        try:
            return parse_time("".join(part for part in found.groups() if part), name)
        except InputError:
            continue
    return None


def _read_radiometry(root: Element, name: str) -> Radiometry:
    quantification = _number(
        root, name, QUANTIFICATION, "QUANTIFICATION_VALUE", "BOA_QUANTIFICATION_VALUE",
        "L1C_TOA_QUANTIFICATION_VALUE", "L2A_BOA_QUANTIFICATION_VALUE",
    )  # fmt: skip
    offsets = dict.fromkeys(BANDS, 0.0)
    for tag in ("RADIO_ADD_OFFSET", "BOA_ADD_OFFSET"):
        for element in _elements(root, tag):
            band = element.get("band_id", "")
            if not band.isdecimal() or int(band) >= len(BANDS):
                raise InputError(f"{name}: {tag} has band_id {band!r}, expected 0..12")
            called = f"{name}: {tag} of band_id {band}"
            offsets[BANDS[int(band)]] = read_number(element.text or "", called, OFFSET)
    codes = {
        _text(element, name, "SPECIAL_VALUE_TEXT"): _whole(
            element, name, DIGITAL_NUMBER, "SPECIAL_VALUE_INDEX"
        )
        for element in _elements(root, "Special_Values")
    }
    return Radiometry(
        quantification, offsets, codes.get("NODATA", 0), codes.get("SATURATED", 65535)
    )


def _elements(root: Element, tag: str) -> Iterator[Element]:
    """Find elements by their name without namespace: it differs between baselines."""
    return (element for element in root.iter() if element.tag.rpartition("}")[2] == tag)


def _text(root: Element, name: str, *tags: str, default: str | None = None) -> str:
    for tag in tags:
        for element in _elements(root, tag):
            if element.text and element.text.strip():
                return element.text.strip()
    if default is None:
        raise InputError(f"{name} has no {' or '.join(tags)}")
    return default


def _number(root: Element, name: str, limits: Limits, *tags: str) -> float:
    return read_number(_text(root, name, *tags), f"{name}: {tags[0]}", limits)


def _whole(root: Element, name: str, limits: Limits, *tags: str) -> int:
    return read_whole(_text(root, name, *tags), f"{name}: {tags[0]}", limits)
