"""What bands of Sentinel-2 are called: by ESA, by catalogues, in names of files."""

import re

COMMON_NAMES = {
    "coastal": "B01",
    "blue": "B02",
    "green": "B03",
    "red": "B04",
    "rededge1": "B05",
    "rededge2": "B06",
    "rededge3": "B07",
    "nir": "B08",
    "nir08": "B8A",
    "nir09": "B09",
    "cirrus": "B10",
    "swir16": "B11",
    "swir22": "B12",
    "scl": "SCL",
}  # fmt: skip - of earth-search and of STAC's extension for electro-optical images

_BAND = re.compile(
    r"(?:.*[_.-])?(?P<band>B\d?[\dA]|SCL|" + "|".join(COMMON_NAMES) + r")(?:[_-]\d{2}m)?",
    re.IGNORECASE,
)


def band_of(name: str) -> str:
    """Return the band that a name, of a file or a band, means: ESA's name for it, or nothing."""
    found = _BAND.fullmatch(name.strip())
    if not found:
        return ""
    word = found["band"]
    band = COMMON_NAMES.get(word.lower(), word.upper())
    return re.sub(r"^B(\d)$", r"B0\1", band)
