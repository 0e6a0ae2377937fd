"""The tile cache in GeoServer (GeoWebCache): which layers it keeps, and what it knows of time.

GeoServer keeps the tiles of every new layer unless told otherwise. Its cache does not ask who may
see a tile (unless ``securityEnabled`` is set in ``gwc-gs.xml``), names all its layers to anybody,
and takes no notice of TIME: private layers are therefore not in it, and series with their times.
"""

import datetime as dt
import json
import logging
from collections.abc import Sequence

from lxml import etree

from candela.errors import PublicationError, PublisherAwayError
from candela.publish.geoserver.rest import GeoServerRest

logger = logging.getLogger(__name__)

XML = "text/xml"
LAYERS = ("gwc", "rest", "layers")


class Tiles:
    """The tile cache of a GeoServer."""

    def __init__(self, rest: GeoServerRest) -> None:
        self._rest = rest

    def layers(self) -> list[str]:
        """List the layers that it keeps tiles of, as ``workspace:name``."""
        answer = self._rest.read(*LAYERS[:-1], "layers.json")
        return [str(name) for name in json.loads(answer.text)] if answer else []

    def forget(self, layer: str) -> None:
        """Keep no tiles of a layer, neither those that are there nor others."""
        self._rest.delete(*LAYERS, f"{layer}.xml")

    def truncate(self, layer: str) -> None:
        """Remove the tiles of a layer that has changed."""
        root = etree.Element("truncateLayer")
        etree.SubElement(root, "layerName").text = layer
        try:
            self._rest.send(
                "POST", "gwc", "rest", "masstruncate", content=etree.tostring(root), media_type=XML
            )
        except PublisherAwayError:
            raise
        except PublicationError as error:
            logger.info("%s has no tiles: %s", layer, error)

    def follow(self, layer: str, times: Sequence[dt.datetime]) -> None:
        """Keep tiles of a series for each of its times, and forget those that are there."""
        answer = self._rest.read(*LAYERS, f"{layer}.xml")
        if answer is None:
            return
        root = etree.fromstring(answer.text.encode(), etree.XMLParser(resolve_entities=False))
        filters = root.find("parameterFilters")
        if filters is None:
            filters = etree.SubElement(root, "parameterFilters")
        for found in [item for item in filters if item.findtext("key", "").upper() == "TIME"]:
            filters.remove(found)
        filters.append(_time_filter([advertised(time) for time in times]))
        self._rest.send(
            "PUT", *LAYERS, f"{layer}.xml", content=etree.tostring(root), media_type=XML
        )
        self.truncate(layer)


def advertised(time: dt.datetime) -> str:
    """Write a time as GeoServer's capabilities do."""
    return f"{time.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03}Z"


def _time_filter(times: Sequence[str]) -> etree._Element:
    """List what TIME may be; without it the newest is shown, as in the WMS."""
    root = etree.Element("stringParameterFilter")
    etree.SubElement(root, "key").text = "TIME"
    etree.SubElement(root, "defaultValue").text = times[-1]
    values = etree.SubElement(root, "values")
    for time in times:
        etree.SubElement(values, "string").text = time
    return root
