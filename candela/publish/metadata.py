"""What is said of every layer, whichever map server shows it."""

import datetime as dt

from candela.publish.record import LayerRecord

ATTRIBUTION = "contains modified Copernicus Sentinel data"
KEYWORDS = ("Copernicus", "Sentinel")


def keywords(record: LayerRecord) -> list[str]:
    """Return the words under which a layer is found."""
    layer, time = record.layer, record.time
    day = f"{time:%Y-%m-%d}" if time else ""
    words = (*KEYWORDS, layer.process, layer.output, f"EPSG:{record.header.epsg}", day)
    return [word for word in words if word]


def isotime(time: dt.datetime) -> str:
    """Write a time as WMS wants it: UTC, to the second."""
    return f"{time.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
