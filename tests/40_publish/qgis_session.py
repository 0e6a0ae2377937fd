"""What a person does in QGIS, without a window; run by Debian's Python, which has QGIS.

python3 qgis_session.py <url of /ows> <series> <image> <parcels> <folder> <times of the series>

Pictures go into the folder, and what was seen into seen.json there.
"""

import json
import os
import sys
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from qgis.core import (  # type: ignore[import-not-found]
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsDateTimeRange,
    QgsFeatureRequest,
    QgsMapRendererParallelJob,
    QgsMapSettings,
    QgsRasterDataProviderTemporalCapabilities,
    QgsRasterLayer,
    QgsRasterLayerTemporalProperties,
    QgsRectangle,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QDateTime, QSize, Qt  # type: ignore[import-not-found]

URL, SERIES, IMAGE, PARCELS = sys.argv[1:5]
FOLDER, TIMES = Path(sys.argv[5]), sys.argv[6]
UTM = QgsCoordinateReferenceSystem("EPSG:32632")
EXTENT = QgsRectangle(600_000, 5_397_000, 603_000, 5_400_000)
FRAMES = {
    "first-day": ("2020-07-08T00:00:00", "2020-07-09T00:00:00"),
    "second-day": ("2020-07-18T00:00:00", "2020-07-19T00:00:00"),
    "month": ("2020-07-01T00:00:00", "2020-08-01T00:00:00"),
    "last-year": ("2022-01-01T00:00:00", "2023-01-01T00:00:00"),
    "between": ("2021-01-01T00:00:00", "2022-01-01T00:00:00"),
}  # of the temporal controller


def time_of(text):
    time = QDateTime.fromString(text, Qt.ISODate)
    time.setTimeSpec(Qt.UTC)
    return time


def wms(name, times=""):
    source = f"crs=EPSG:32632&format=image/png&layers={name}&styles=&url={URL}"
    if times:
        source += (
            f"&type=wmst&timeDimensionExtent={times}&allowTemporalUpdates=true"
            "&temporalSource=provider"
        )
    return valid(QgsRasterLayer(source, name, "wms"))


def valid(layer):
    if not layer.isValid():
        raise SystemExit(f"QGIS cannot load {layer.source()}: {layer.error().summary()}")
    return layer


def rendered(name, layers, frame=None):
    settings = QgsMapSettings()
    settings.setLayers(layers)
    settings.setDestinationCrs(UTM)
    settings.setExtent(EXTENT)
    settings.setOutputSize(QSize(400, 400))
    if frame:
        settings.setIsTemporal(True)
        # The controller leaves the end of a frame to the next one.
        begin, end = (time_of(text) for text in frame)
        settings.setTemporalRange(QgsDateTimeRange(begin, end, True, False))
    job = QgsMapRendererParallelJob(settings)
    job.start()
    job.waitForFinished()
    job.renderedImage().save(str(FOLDER / f"{name}.png"))


def series_seen():
    layer = wms(SERIES, TIMES)
    properties = layer.temporalProperties()
    properties.setIsActive(True)
    properties.setMode(QgsRasterLayerTemporalProperties.ModeTemporalRangeFromDataProvider)
    methods = {
        "default": properties.intervalHandlingMethod(),
        "whole": QgsRasterDataProviderTemporalCapabilities.MatchUsingWholeRange,
        "start": QgsRasterDataProviderTemporalCapabilities.MatchExactUsingStartOfRange,
    }
    for method, value in methods.items():
        properties.setIntervalHandlingMethod(value)
        for name, frame in FRAMES.items():
            rendered(f"{name}-{method}", [layer], frame)
    properties.setIntervalHandlingMethod(methods["whole"])
    below = [wms(PARCELS), wms(IMAGE)]
    for name in ("first-day", "second-day", "last-year"):
        rendered(f"map-{name}", [layer, *below], FRAMES[name])


def pixels_seen():
    source = f"url={URL}&identifier={IMAGE}&version=1.0.0&cache=AlwaysNetwork"
    layer = valid(QgsRasterLayer(source, IMAGE, "wcs"))
    provider = layer.dataProvider()
    block = provider.block(2, QgsRectangle(600_500, 5_398_000, 602_300, 5_399_700), 180, 170)
    extent = layer.extent()
    return {
        "size": [provider.xSize(), provider.ySize(), provider.bandCount()],
        "extent": [
            extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum(),
        ],
        "values": [[block.value(row, col) for col in range(180)] for row in range(170)],
    }  # fmt: skip


def count(layer, request=None):
    return sum(1 for _ in layer.getFeatures(*([request] if request else [])))


def parcels_seen():
    seen = {}
    for version, name in {"1.1.0": f"candela:{PARCELS}", "2.0.0": f"candela:{PARCELS}"}.items():
        source = f"typename='{name}' srsname='EPSG:32632' url='{URL}' version='{version}'"
        layer = valid(QgsVectorLayer(source, "parcels", "WFS"))
        corner = QgsRectangle(600_000, 5_399_300, 600_700, 5_400_000)
        named = QgsFeatureRequest().setFilterExpression("\"name\" LIKE 'North%'")
        seen[version] = {
            "all": count(layer), "named": count(layer, named),
            "box": count(layer, QgsFeatureRequest(corner)),
        }  # fmt: skip
        layer.setSubsetString('"change_level" >= 2')
        seen[version]["filtered"] = count(layer)
    return seen


application = QgsApplication([], False)
application.initQgis()
seen = {"pixels": pixels_seen(), "parcels": parcels_seen()}
(FOLDER / "seen.json").write_text(json.dumps(seen))
series_seen()
application.exitQgis()
