"""How Sentinel-2 products and their files are called, and the metadata that goes with them."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from xml.sax.saxutils import escape

from candela.eo.raster.grid import Grid
from candela.synthetic.spectra import BANDS

SPACECRAFT = {"S2A": "Sentinel-2A", "S2B": "Sentinel-2B", "S2C": "Sentinel-2C"}
OFFSET = -1000  # added to digital numbers since processing baseline 04.00
SCHEMA = "https://psd-14.sentinel2.eo.esa.int/PSD"


@dataclass(frozen=True)
class Identity:
    """What a product is called.

    Attributes
    ----------
    sensing : datetime
        Start of the datatake.
    level : str
        ``L1C`` or ``L2A``.
    platform, baseline, orbit
        As in the name: ``S2A``, ``05.10``, 51 (relative).
    generated : datetime, optional
        By default six hours after sensing.
    naming : str
        ``compact``, or ``old`` as until the end of 2016 (``S2A_OPER_PRD_MSIL1C_...``).
    """

    sensing: dt.datetime
    level: Literal["L1C", "L2A"] = "L2A"
    platform: str = "S2A"
    baseline: str = "05.10"
    orbit: int = 51
    generated: dt.datetime | None = None
    naming: Literal["compact", "old"] = "compact"

    @property
    def start(self) -> str:
        """Start of the datatake, as names have it."""
        return f"{self.sensing:%Y%m%dT%H%M%S}"

    @property
    def made(self) -> str:
        """Time of processing, as names have it."""
        return f"{self.generated or self.sensing + dt.timedelta(hours=6):%Y%m%dT%H%M%S}"

    @property
    def has_offset(self) -> bool:
        """Whether digital numbers are shifted by ``OFFSET``."""
        return float(self.baseline) >= 4

    @property
    def product(self) -> str:
        """Name of the product, without ``.SAFE``."""
        if self.naming == "old":
            return (
                f"{self.platform}_OPER_PRD_MSI{self.level}_PDMC_{self.made}"
                f"_R{self.orbit:03d}_V{self.start}_{self.start}"
            )
        baseline = self.baseline.replace(".", "")
        return (
            f"{self.platform}_MSI{self.level}_{self.start}_N{baseline}"
            f"_R{self.orbit:03d}_T{{tile}}_{self.made}"
        )

    @property
    def product_metadata(self) -> str:
        """Name of the product's metadata file."""
        if self.naming == "old":
            name = self.product.replace("_PRD_MSI", "_MTD_SAF")
            return f"{name}.xml"
        return f"MTD_MSI{self.level}.xml"

    def granule(self, tile: str) -> str:
        """Name of the folder of a tile."""
        if self.naming == "old":
            return (
                f"{self.platform}_OPER_MSI_{self.level}_TL_EPA__{self.made}"
                f"_A013204_T{tile}_N{self.baseline}"
            )
        return f"{self.level}_T{tile}_A013204_{self.start}"

    def granule_metadata(self, tile: str) -> str:
        """Name of the metadata file of a tile."""
        if self.naming == "old":
            name = self.granule(tile).replace("_MSI_", "_MTD_").rsplit("_N", 1)[0]
            return f"{name}.xml"
        return "MTD_TL.xml"

    def image(self, tile: str, band: str, pixel_m: int) -> str:
        """Path of a band inside its granule."""
        if self.naming == "old":
            stem = self.granule(tile).rsplit("_N", 1)[0]
            return f"IMG_DATA/{stem}_{band}.jp2"
        if self.level == "L2A":
            return f"IMG_DATA/R{pixel_m}m/T{tile}_{self.start}_{band}_{pixel_m}m.jp2"
        return f"IMG_DATA/T{tile}_{self.start}_{band}.jp2"


def product_xml(identity: Identity, product: str, images: Mapping[str, Sequence[str]]) -> str:
    """Return the product's metadata; ``images`` are the image files of each granule."""
    level = f"Level-{identity.level[1:]}"
    listed, item = (
        ("Granules", "IMAGE_ID") if identity.naming == "old" else ("Granule", "IMAGE_FILE")
    )
    datastrip = (
        f"{identity.platform}_OPER_MSI_{identity.level}_DS_EPAE_{identity.made}"
        f"_S{identity.start}_N{identity.baseline}"
    )
    granules = "".join(
        f"""
          <Granule_List>
            <{listed} datastripIdentifier="{datastrip}" granuleIdentifier="{escape(granule)}">
              {"".join(f"<{item}>{escape(name)}</{item}>" for name in names)}
            </{listed}>
          </Granule_List>"""
        for granule, names in images.items()
    )
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:{level}_User_Product xmlns:n1="{SCHEMA}/User_Product_{level}.xsd" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <n1:General_Info>
    <Product_Info>
      <PRODUCT_START_TIME>{identity.sensing:%Y-%m-%dT%H:%M:%S}.024Z</PRODUCT_START_TIME>
      <PRODUCT_STOP_TIME>{identity.sensing:%Y-%m-%dT%H:%M:%S}.024Z</PRODUCT_STOP_TIME>
      <PRODUCT_URI>{product}.SAFE</PRODUCT_URI>
      <PROCESSING_LEVEL>{level}</PROCESSING_LEVEL>
      <PRODUCT_TYPE>S2MSI{identity.level[1:]}</PRODUCT_TYPE>
      <PROCESSING_BASELINE>{identity.baseline}</PROCESSING_BASELINE>
      <GENERATION_TIME>{identity.made}</GENERATION_TIME>
      <Datatake datatakeIdentifier="G{identity.platform}_{identity.start}_013204_N{identity.baseline}">
        <SPACECRAFT_NAME>{SPACECRAFT[identity.platform]}</SPACECRAFT_NAME>
        <DATATAKE_TYPE>INS-NOBS</DATATAKE_TYPE>
        <DATATAKE_SENSING_START>{identity.sensing:%Y-%m-%dT%H:%M:%S}.024Z</DATATAKE_SENSING_START>
        <SENSING_ORBIT_NUMBER>{identity.orbit}</SENSING_ORBIT_NUMBER>
        <SENSING_ORBIT_DIRECTION>DESCENDING</SENSING_ORBIT_DIRECTION>
      </Datatake>
      <Product_Organisation>{granules}
      </Product_Organisation>
    </Product_Info>
    <Product_Image_Characteristics>
      <Special_Values><SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT><SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX></Special_Values>
      <Special_Values><SPECIAL_VALUE_TEXT>SATURATED</SPECIAL_VALUE_TEXT><SPECIAL_VALUE_INDEX>65535</SPECIAL_VALUE_INDEX></Special_Values>
      {_radiometry_xml(identity)}
    </Product_Image_Characteristics>
  </n1:General_Info>
</n1:{level}_User_Product>
"""  # noqa: E501 - the layout of ESA's files


def _radiometry_xml(identity: Identity) -> str:
    """Return quantification and, where the baseline has them, offsets."""
    kind, around = ("BOA", "BOA_ADD_OFFSET_VALUES_LIST")
    scale = (
        "<QUANTIFICATION_VALUES_LIST>"
        '<BOA_QUANTIFICATION_VALUE unit="none">10000</BOA_QUANTIFICATION_VALUE>'
        "</QUANTIFICATION_VALUES_LIST>"
    )
    if identity.level == "L1C":
        kind, around = ("RADIO", "Radiometric_Offset_List")
        scale = '<QUANTIFICATION_VALUE unit="none">10000</QUANTIFICATION_VALUE>'
    if not identity.has_offset:
        return scale
    offsets = "".join(
        f'<{kind}_ADD_OFFSET band_id="{index}">{OFFSET}</{kind}_ADD_OFFSET>'
        for index in range(len(BANDS))
    )
    return f"{scale}<{around}>{offsets}</{around}>"


def granule_xml(identity: Identity, tile: str, grid: Grid) -> str:
    """Return the metadata of a tile on a grid of 10 m."""
    level = f"Level-{identity.level[1:]}"
    code = grid.crs.to_epsg() if grid.crs else 0
    sizes = "".join(
        f"""
      <Size resolution="{pixel}">
        <NROWS>{grid.shape.rows * 10 // pixel}</NROWS>
        <NCOLS>{grid.shape.cols * 10 // pixel}</NCOLS>
      </Size>
      <Geoposition resolution="{pixel}">
        <ULX>{grid.bounds.left:.12g}</ULX>
        <ULY>{grid.bounds.top:.12g}</ULY>
        <XDIM>{pixel}</XDIM>
        <YDIM>-{pixel}</YDIM>
      </Geoposition>"""
        for pixel in (10, 20, 60)
    )
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:{level}_Tile_ID xmlns:n1="{SCHEMA}/S2_PDI_{level}_Tile_Metadata.xsd">
  <n1:General_Info>
    <TILE_ID metadataLevel="Brief">{identity.platform}_OPER_MSI_{identity.level}_TL_EPA__{identity.made}_A013204_T{tile}_N{identity.baseline}</TILE_ID>
    <SENSING_TIME metadataLevel="Standard">{identity.sensing + dt.timedelta(seconds=14):%Y-%m-%dT%H:%M:%S}.512Z</SENSING_TIME>
  </n1:General_Info>
  <n1:Geometric_Info>
    <Tile_Geocoding metadataLevel="Brief">
      <HORIZONTAL_CS_CODE>EPSG:{code}</HORIZONTAL_CS_CODE>{sizes}
    </Tile_Geocoding>
  </n1:Geometric_Info>
</n1:{level}_Tile_ID>
"""  # noqa: E501 - the layout of ESA's files
