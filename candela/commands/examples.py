"""What the help of the commands says beside their options."""

OVERVIEW = """\
Copernicus algorithms as OGC web processing services.

  candela demo                       see it all at work, on data made up on the spot
  candela serve                      start a gateway on this machine
  candela processes                  what can it do?
  candela describe ChangeDetect      what does it need?
  candela execute Echo literal=hi --wait
  candela series A.zip B.zip C.zip   what changed from product to product?
  candela jobs                       what is it doing?
  candela patches items size=120     which patches are there?
  candela run Echo literal=hi --outputs out    the same without a server
  candela completion bash            let the shell complete commands and options
"""
SERVE = """\
examples:
  candela serve
  candela serve --data /srv/candela --input-folder /srv/sentinel
  candela serve --url https://eo.example.org/candela --bind 127.0.0.1:8080

The address says where clients reach the gateway: all links begin with it. Settings that are not
given here come from CANDELA_... variables. Ctrl-C ends the gateway; jobs that run then go on, and
the next start takes them up.
"""
EXECUTE = """\
An input is name=value; repeat a name for several values. A file is a path or an address, a
bounding box is left,bottom,right,top in degrees or, with ,EPSG:... after it, in another CRS.

examples:
  candela execute Jpeg2Tiff product=S2A_MSIL2A_20200718T105031_N0214_R051_T31TCJ_20200718T132909.zip
  candela execute Jpeg2Tiff product=https://example.org/S2A.zip bands=B04 bands=B03 bands=B02 --wait
  candela execute ChangeDetect before=a.tif after=b.tif --save results
"""
SERIES = """\
Jpeg2Tiff for each product, ExtractInfo over the images, ChangeDetect for each pair of consecutive
dates. What failed is told, and does not stop the rest. After an interruption the same command goes
on where it was.

examples:
  candela series S2A_2020.zip S2B_2021.zip S2A_2022.zip --save results
  candela series *.zip --area 1.2,43.5,1.5,43.7 --parcels vineyards.gpkg --clouds --save results
"""
RUN = """\
The process runs in this program: no server, no queue, no layers. Inputs are given as for
"candela execute".

examples:
  candela run Jpeg2Tiff product=S2A.zip area=1.2,43.5,1.5,43.7 --outputs results
  candela run ChangeDetect before=a.tif after=b.tif --outputs results
"""
JOBS = """\
examples:
  candela jobs --status running
  candela jobs show ID
  candela jobs wait ID --save results
  candela jobs log ID
  candela jobs dismiss ID
"""
PATCHES = """\
Conditions are those of the gateway's /patches (docs/patches.md).

examples:
  candela patches items size=120 bbox=14.9,45.0,15.2,45.2 datetime=2020-06-01/..
  candela patches items like=17 label=corine:31 limit=20 --form geojson
  candela patches statistics scheme=earth --form csv
  candela patches changes before=june after=august size=120
  candela patches confusion truth=reference compared=model:fused
  candela patches label corine 17=311 18=512
"""
DEMO = """\
examples:
  candela demo
  candela demo --size 2196 --data /tmp/candela
  candela demo S2A_before.zip S2B_after.zip
  candela demo --port 8090 --no-serve
"""
