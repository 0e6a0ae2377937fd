"""Small images that claim much: GeoTIFF and JPEG 2000, made byte by byte."""

import math
import struct
from collections.abc import Callable

SHORT, LONG, DOUBLE, ASCII, LONG8 = 3, 4, 12, 2, 16
SIZES = {SHORT: ("H", 2), LONG: ("I", 4), DOUBLE: ("d", 8), ASCII: ("s", 1), LONG8: ("Q", 8)}
GEO_KEYS = (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32631)
PLACE = (0.0, 0.0, 0.0, 5e5, 5e6, 0.0)


def tiff(
    *,
    width: int = 64,
    height: int = 64,
    bands: int = 1,
    bits: int = 8,
    tile: tuple[int, int] | None = None,
    rows_per_strip: int | None = None,
    scale: tuple[float, ...] = (10.0, 10.0, 0.0),
    place: tuple[float, ...] = PLACE,
    follow: Callable[[int], int] = lambda _: 0,
    extra: dict[int, tuple[int, tuple]] | None = None,
    pixels: bytes = b"",
    is_sparse: bool = False,
) -> bytes:
    """Write a GeoTIFF of one strip or tile that may be absent.

    Parameters
    ----------
    follow : callable
        Given the place of the first directory, where the next one is said to be.
    extra : dict, optional
        More tags: type and values.
    is_sparse : bool
        Whether pixels that are not there are zeros.
    """
    tags: dict[int, tuple[int, tuple]] = {
        256: (LONG, (width,)), 257: (LONG, (height,)), 258: (SHORT, (bits,)), 259: (SHORT, (1,)),
        262: (SHORT, (1,)), 277: (SHORT, (bands,)), 284: (SHORT, (1,)),
        33550: (DOUBLE, scale), 33922: (DOUBLE, place), 34735: (SHORT, GEO_KEYS),
    }  # fmt: skip
    if tile:
        tags |= {
            322: (LONG, (tile[0],)), 323: (LONG, (tile[1],)), 324: (LONG, (8,)),
            325: (LONG, (len(pixels),)),
        }  # fmt: skip
    else:
        tags |= {
            273: (LONG, (8,)), 279: (LONG, (len(pixels),)),
            278: (LONG, (rows_per_strip or min(height, 2**32 - 1),)),
        }  # fmt: skip
    tags |= extra or {}
    if is_sparse:  # read as zeros, for as long as somebody reads
        tags |= {324 if tile else 273: (LONG, (0,))}
    start = 8 + len(pixels)
    return struct.pack("<2sHI", b"II", 42, start) + pixels + _directory(tags, start, follow(start))


def _directory(tags: dict[int, tuple[int, tuple]], start: int, following: int) -> bytes:
    entries, rest = b"", b""
    after = start + 2 + 12 * len(tags) + 4
    for tag, (kind, values) in sorted(tags.items()):
        letter, _ = SIZES[kind]
        content = values[0] if kind == ASCII else struct.pack(f"<{len(values)}{letter}", *values)
        count = len(content) if kind == ASCII else len(values)
        if len(content) <= 4:
            field = content.ljust(4, b"\0")
        else:
            field = struct.pack("<I", after + len(rest))
            rest += content
        entries += struct.pack("<HHI", tag, kind, count) + field
    return struct.pack("<H", len(tags)) + entries + struct.pack("<I", following) + rest


def many_directories(count: int) -> bytes:
    """Write a GeoTIFF with so many small directories behind the first one."""
    place = len(tiff())
    chain = b"".join(
        struct.pack("<HHHIII", 1, 254, LONG, 1, 0, place + 18 * number)
        for number in range(1, count + 1)
    )
    return tiff(follow=lambda _: place) + chain[:-4] + bytes(4)


def jp2(
    *,
    width: int = 64,
    height: int = 64,
    tile: tuple[int, int] | None = None,
    bands: int = 1,
    boxes: bytes = b"",
    codestream: bytes | None = None,
) -> bytes:
    """Write a JP2 whose code stream ends after its headers."""
    tile_width, tile_height = tile or (width, height)
    size = (
        struct.pack(">HIIIIIIIIH", 0, width, height, 0, 0, tile_width, tile_height, 0, 0, bands)
        + bytes([7, 1, 1]) * bands
    )
    coding = struct.pack(">BBHBBBBBB", 0, 0, 1, 0, 5, 4, 4, 0, 1)
    quantisation = bytes([0x40, *([0x40] * 16)])
    stream = b"\xff\x4f" + b"".join(
        marker + struct.pack(">H", 2 + len(body)) + body
        for marker, body in (
            (b"\xff\x51", size), (b"\xff\x52", coding), (b"\xff\x5c", quantisation),
        )
    )  # fmt: skip
    stream += b"\xff\x90" + struct.pack(">HHIBB", 10, 0, 14, 0, 1) + b"\xff\x93" + b"\xff\xd9"
    header = box(
        b"jp2h",
        box(b"ihdr", struct.pack(">IIHBBBB", height, width, bands, 7, 7, 0, 0))
        + box(b"colr", struct.pack(">BBBI", 1, 0, 0, 17)),
    )
    return (
        box(b"jP  ", b"\r\n\x87\n")
        + box(b"ftyp", b"jp2 \0\0\0\0jp2 jpx ")
        + header
        + boxes
        + (box(b"jp2c", stream) if codestream is None else codestream)
    )


def box(kind: bytes, content: bytes) -> bytes:
    """Write a box of JPEG 2000."""
    return struct.pack(">I4s", 8 + len(content), kind) + content


def gml_box(gml: str) -> bytes:
    """Write GML as GMLJP2 1.0 wants it."""
    root = box(b"asoc", box(b"lbl ", b"gml.root-instance") + box(b"xml ", gml.encode()))
    return box(b"asoc", box(b"lbl ", b"gml.data") + root)


def fragments(url: str) -> bytes:
    """Say that the code stream lies elsewhere (JPX, ISO 15444-2, annex M.11.3)."""
    table = box(b"flst", struct.pack(">HQIH", 1, 0, 1000, 1))
    references = box(b"url ", b"\0\0\0\0" + url.encode() + b"\0")
    return box(b"dtbl", struct.pack(">H", 1) + references) + box(b"ftbl", table)


def named(names: tuple[str, ...]) -> tuple[int, tuple]:
    """Give the bands of a GeoTIFF names, as GDAL does."""
    items = "".join(
        f'<Item name="DESCRIPTION" sample="{number}" role="description">{name}</Item>'
        for number, name in enumerate(names)
    )
    return ASCII, (f"<GDALMetadata>{items}</GDALMetadata>\0".encode(),)


def endless_scene(names: tuple[str, ...]) -> bytes:
    """Write a scene of 64 thousand million pixels that are all zero, in some hundred bytes."""
    side = 2**18
    return tiff(
        width=side, height=side, bands=len(names), bits=16, tile=(4096, 4096), is_sparse=True,
        scale=(0.01, 0.01, 0.0), extra={42112: named(names), **bits_of(names)},
    )  # fmt: skip


def damaged_scene(names: tuple[str, ...]) -> bytes:
    """Write a scene whose pixels lie behind its end."""
    return tiff(
        bands=len(names), bits=16, pixels=b"\0" * 10, extra={42112: named(names), **bits_of(names)}
    )


def bits_of(names: tuple[str, ...]) -> dict[int, tuple[int, tuple]]:
    return {258: (SHORT, (16,) * len(names)), 339: (SHORT, (1,) * len(names))}


def gml(url: str) -> str:
    """Write the GML of an image whose reference system and bounds stand elsewhere."""
    return (
        '<gml:FeatureCollection xmlns:gml="http://www.opengis.net/gml" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'xsi:schemaLocation="http://www.opengis.net/gml {url}/gml.xsd">'
        f'<gml:boundedBy xlink:href="{url}/bounds.xml"/><gml:featureMember><gml:FeatureCollection>'
        '<gml:featureMember><gml:RectifiedGridCoverage dimension="2">'
        '<gml:rectifiedGridDomain><gml:RectifiedGrid dimension="2"><gml:limits><gml:GridEnvelope>'
        "<gml:low>0 0</gml:low><gml:high>63 63</gml:high></gml:GridEnvelope></gml:limits>"
        f'<gml:origin><gml:Point srsName="{url}/crs.xml"><gml:pos>5 5</gml:pos></gml:Point>'
        f'</gml:origin><gml:offsetVector srsName="{url}/crs.xml">10 0</gml:offsetVector>'
        '<gml:offsetVector srsName="x">0 -10</gml:offsetVector></gml:RectifiedGrid>'
        "</gml:rectifiedGridDomain></gml:RectifiedGridCoverage></gml:featureMember>"
        "</gml:FeatureCollection></gml:featureMember></gml:FeatureCollection>"
    )


def virtual_raster(url: str) -> bytes:
    """Write a VRT of an image that stands elsewhere."""
    return (
        '<VRTDataset rasterXSize="64" rasterYSize="64"><VRTRasterBand dataType="Byte" band="1">'
        f"<SimpleSource><SourceFilename>/vsicurl/{url}/x.tif</SourceFilename></SimpleSource>"
        "</VRTRasterBand></VRTDataset>"
    ).encode()


def overviews(url: str) -> tuple[int, tuple]:
    """Name a file elsewhere that has the overviews of a GeoTIFF."""
    item = f'<Item name="OVERVIEW_FILE" domain="OVERVIEWS">/vsicurl/{url}/o.tif</Item>'
    return ASCII, (f"<GDALMetadata>{item}</GDALMetadata>\0".encode(),)


HUGE, FINE = 2**31 - 1, (1e-4, 1e-4, 0.0)
# By name; the function takes the address of a server that some of them ask for.
IMAGES: dict[str, Callable[[str], bytes]] = {
    "huge.tif": lambda _: tiff(width=HUGE, height=HUGE, scale=FINE),
    "huge-strips.tif": lambda _: tiff(width=HUGE, height=HUGE, scale=FINE, rows_per_strip=1),
    "huge-tiles.tif": lambda _: tiff(width=HUGE, height=HUGE, scale=FINE, tile=(512, 512)),
    "huge-sparse.tif": lambda _: tiff(
        width=HUGE, height=HUGE, scale=FINE, tile=(2**20, 2**20), is_sparse=True
    ),
    "large-sparse.tif": lambda _: tiff(
        width=10**6, height=10**6, scale=FINE, tile=(2**14, 2**14), is_sparse=True
    ),
    "large-strip.tif": lambda _: tiff(width=200_000, height=200_000, bits=16),
    "large-tile.tif": lambda _: tiff(tile=(2**16, 2**16), bits=64),
    "bands.tif": lambda _: tiff(bands=65535, bits=64, width=512, height=512),
    "nan.tif": lambda _: tiff(scale=(math.nan, 10.0, 0.0)),
    "inf.tif": lambda _: tiff(place=(0.0, 0.0, 0.0, math.inf, 5e6, 0.0)),
    "far.tif": lambda _: tiff(place=(0.0, 0.0, 0.0, 5e8, 5e9, 0.0)),
    "cycle.tif": lambda _: tiff(follow=lambda start: start),
    "subcycle.tif": lambda _: tiff(extra={330: (LONG, (8, 8))}),
    "directories.tif": lambda _: many_directories(1_000_000),
    "long-text.tif": lambda _: tiff(extra={270: (ASCII, (b"a" * 70_000,))}),
    "vrt.tif": virtual_raster,
    "vrt.jp2": virtual_raster,
    "overviews.tif": lambda url: tiff(extra={42112: overviews(url)}),
    "huge.jp2": lambda _: jp2(width=HUGE, height=HUGE),
    "huge-tiles.jp2": lambda _: jp2(width=HUGE, height=HUGE, tile=(1, 1)),
    "large-tiles.jp2": lambda _: jp2(width=10**6, height=10**6, tile=(1024, 1024)),
    "large-tile.jp2": lambda _: jp2(width=60_000, height=60_000),
    "bands.jp2": lambda _: jp2(bands=16384),
    "gml.jp2": lambda url: jp2(boxes=gml_box(gml(url))),
    "fragments.jp2": lambda url: jp2(codestream=fragments(f"{url}/stream.j2k")),
    "fragments-too.jp2": lambda url: jp2(boxes=fragments(f"{url}/stream.j2k")),
}
