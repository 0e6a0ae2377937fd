"""``candela series``."""

import argparse
from pathlib import Path

from candela.commands.parsers.command import Commands, add_command

SERIES = """\
Jpeg2Tiff for each product, ExtractInfo over the images, ChangeDetect for each pair of consecutive
dates. A product that fails is listed, and the others go on. After an interruption the same command
goes on where it was.

examples:
  candela series S2A_2020.zip S2B_2021.zip S2A_2022.zip --save results
  candela series *.zip --area 1.2,43.5,1.5,43.7 --parcels vineyards.gpkg --clouds --save results
"""


def add_series(commands: Commands, gateway: argparse.ArgumentParser) -> None:
    """Declare ``candela series``."""
    parser = add_command(
        commands,
        "series",
        _series,
        "find what changed from product to product",
        details=SERIES,
        extras="worker",
        many="products",
        parents=[gateway],
    )
    parser.add_argument(
        "products",
        metavar="PRODUCT",
        nargs="+",
        help="path or address (https://, s3://, file://) of a Sentinel-2 product or GeoTIFF",
    )
    parser.add_argument(
        "--area",
        metavar="BOX",
        help="left,bottom,right,top in degrees, or in another CRS with ,EPSG:... after it "
        "(default: the whole products)",
    )
    parser.add_argument(
        "--model",
        help="model of ChangeDetect, as candela describe lists them (default: that of the gateway)",
    )
    parser.add_argument(
        "--parcels",
        metavar="FILE",
        help="path or address of polygons whose change is measured (default: none)",
    )
    parser.add_argument(
        "--clouds",
        action="store_true",
        help="mask clouds with a margin of 100 m, their shadows, and snow (default: keep them)",
    )
    parser.add_argument(
        "--bands",
        type=lambda text: tuple(name.strip() for name in text.split(",")),
        default=(),
        metavar="NAME,NAME...",
        help="bands of GeoTIFFs in their order, such as B02,B03,B04 (default: their descriptions)",
    )
    parser.add_argument(
        "--own-scales",
        action="store_true",
        help="scale each map by itself (default: the maps of one place share a scale)",
    )
    parser.add_argument(
        "--parallel",
        type=int,
        default=4,
        help="number of jobs on the gateway at the same time (default: %(default)s)",
    )
    parser.add_argument(
        "--save",
        type=Path,
        metavar="DIR",
        help="folder to download the maps and a picture of all to (default: download nothing)",
    )


def _series(given: argparse.Namespace) -> None:
    from candela.client.assignments import read_box
    from candela.commands.series import run_series

    run_series(
        given.gateway,
        given.products,
        area=read_box("--area", given.area) if given.area else None,
        model=given.model,
        parcels=given.parcels,
        clouds=given.clouds,
        bands=given.bands,
        own_scales=given.own_scales,
        parallel=given.parallel,
        save=given.save,
    )
