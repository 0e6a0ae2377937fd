import gzip
import re
import struct
import zipfile

import numpy as np
import pytest
import rasterio

import candela.eo.archive
from candela.eo import safe
from candela.eo.raster.images import open_image
from candela.eo.safe import open_safe, parse_xml, read_document
from candela.errors import InputError

MARKER = re.compile(r"MTD_.*\.xml")
EXPECTED = "MTD_X.xml"


@pytest.fixture
def product(tmp_path):
    folder = tmp_path / "outer" / "P1.SAFE"
    (folder / "GRANULE").mkdir(parents=True)
    (folder / "MTD_X.xml").write_text("<a>1</a>")
    (folder / "GRANULE" / "image.jp2").write_bytes(b"12345")
    return folder


def pack(folder, target, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(target, "w", compression) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder.parent))
    return target


def opened(path):
    return open_safe(path, MARKER, EXPECTED)


def test_a_product_folder_is_opened(product):
    safe = opened(product)
    assert safe.name == "P1.SAFE"
    assert safe.sizes == {"MTD_X.xml": 8, "GRANULE/image.jp2": 5}
    assert safe.read("MTD_X.xml") == b"<a>1</a>"
    assert safe.location("GRANULE/image.jp2") == str(product / "GRANULE" / "image.jp2")


def test_a_folder_around_one_product_is_opened(product):
    safe = opened(product.parent)
    assert safe.name == "P1.SAFE"
    assert set(safe.sizes) == {"MTD_X.xml", "GRANULE/image.jp2"}
    assert safe.read("MTD_X.xml") == b"<a>1</a>"


def test_a_product_folder_may_have_any_name(product):
    other = product.rename(product.parent / "anything")
    assert set(opened(other).sizes) == {"MTD_X.xml", "GRANULE/image.jp2"}


def test_a_zip_file_is_read_in_place(product, tmp_path):
    archive = pack(product, tmp_path / "P1.zip")
    safe = opened(archive)
    assert safe.name == "P1.SAFE"
    assert safe.read("MTD_X.xml") == b"<a>1</a>"
    assert safe.location("GRANULE/image.jp2") == (
        f"/vsizip/{{{archive}}}/P1.SAFE/GRANULE/image.jp2"
    )


def test_a_zip_file_may_have_any_name(product, tmp_path):
    assert opened(pack(product, tmp_path / "upload")).name == "P1.SAFE"


def test_two_products_in_one_folder_are_named(product):
    (product.parent / "P2.SAFE").mkdir()
    (product.parent / "P2.SAFE" / "MTD_X.xml").write_text("<a/>")
    with pytest.raises(InputError, match=r"has 2 products, expected one: P1\.SAFE, P2\.SAFE"):
        opened(product.parent)


def test_a_folder_without_product_tells_what_was_found(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(InputError, match=r"has no file MTD_X\.xml \(found: notes\.txt\)"):
        opened(tmp_path)


def test_a_path_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(InputError, match="nothing does not exist"):
        opened(tmp_path / "nothing")


def test_a_file_that_is_no_zip_file_is_refused(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"not a zip file")
    with pytest.raises(InputError, match=r"a\.zip is neither a folder nor a readable zip file"):
        opened(tmp_path / "a.zip")


def test_a_truncated_zip_file_is_refused(product, tmp_path):
    archive = pack(product, tmp_path / "P1.zip")
    archive.write_bytes(archive.read_bytes()[:-30])
    with pytest.raises(InputError, match="readable zip file"):
        opened(archive)


def test_a_damaged_member_is_refused_when_it_is_read(product, tmp_path):
    archive = pack(product, tmp_path / "P1.zip", zipfile.ZIP_STORED)
    archive.write_bytes(archive.read_bytes().replace(b"<a>1</a>", b"<a>2</a>"))
    with pytest.raises(InputError, match=r"MTD_X\.xml in P1\.zip is damaged"):
        opened(archive).read("MTD_X.xml")


@pytest.mark.parametrize("name", ["../evil.xml", "/etc/evil.xml", "P1/../../evil", "..\\evil.xml"])
def test_a_zip_file_that_reaches_outside_of_itself_is_refused(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("P1.SAFE/MTD_X.xml", "<a/>")
        archive.writestr(name, "evil")
    with pytest.raises(InputError, match="has a member outside of itself"):
        opened(tmp_path / "a.zip")


def test_a_document_that_is_far_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(safe, "MAX_DOCUMENT_BYTES", 2**20)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("MTD_X.xml", b" " * (2**20 + 1))
    with pytest.raises(InputError, match="a document has at most"):
        opened(tmp_path / "a.zip").read("MTD_X.xml")


def test_an_image_that_grows_beyond_measure_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("MTD_X.xml", "<a/>")
        archive.writestr("B02.jp2", bytes(17 * 2**20))
    with pytest.raises(InputError, match=r"B02\.jp2 in a\.zip grows from \d+ to 17825792 bytes"):
        opened(tmp_path / "a.zip")


def test_an_archive_that_is_too_large_when_unpacked_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(candela.eo.archive, "MAX_TOTAL_BYTES", 1000)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("MTD_X.xml", "<a/>")
        for number in range(11):  # no single one is
            archive.writestr(f"{number}.jp2", bytes(100))
    with pytest.raises(InputError, match="has 1104 bytes when unpacked"):
        opened(tmp_path / "a.zip")


def test_a_size_that_is_a_lie_gives_no_more_than_it_says(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("MTD_X.xml", b" " * 2**20)
    content = (tmp_path / "a.zip").read_bytes()
    said = (2**20).to_bytes(4, "little")
    assert content.count(said) == 2
    (tmp_path / "a.zip").write_bytes(content.replace(said, (8).to_bytes(4, "little")))
    with pytest.raises(InputError, match="is damaged"):
        opened(tmp_path / "a.zip").read("MTD_X.xml")


def test_two_members_of_one_name_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("MTD_X.xml", "<a/>")
        archive.writestr("MTD_Y.xml", "<b/>")
    content = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(content.replace(b"MTD_Y.xml", b"MTD_X.xml"))
    with pytest.raises(InputError, match="several members of one name"):
        opened(tmp_path / "a.zip")


def test_an_archive_in_an_archive_is_not_looked_into(product, tmp_path):
    inner = pack(product, tmp_path / "inner.zip")
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as archive:
        archive.write(inner, "P1.SAFE.zip")
    with pytest.raises(InputError, match=r"has no file MTD_X\.xml \(found: P1\.SAFE\.zip\)"):
        opened(tmp_path / "outer.zip")


def test_a_link_in_an_archive_is_just_its_text(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        link = zipfile.ZipInfo("MTD_X.xml")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    assert opened(tmp_path / "a.zip").read("MTD_X.xml") == b"/etc/passwd"


@pytest.mark.parametrize(
    "declaration",
    [
        '<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">',
        '<!ENTITY a SYSTEM "file:///etc/passwd">',
        '<!ENTITY % a SYSTEM "http://127.0.0.1/x.dtd"> %a;',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_are_refused(declaration, encoding):
    text = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE r [{declaration}]><r>&a;</r>'
    with pytest.raises(InputError, match="x declares a document type"):
        parse_xml(text.encode(encoding), "x")


def test_xml_that_is_not_well_formed_is_refused():
    with pytest.raises(InputError, match="x is no well-formed XML: mismatched tag: line 1"):
        parse_xml(b"<a><b></a>", "x")


def test_a_zip_file_of_windows_is_read(product, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in product.rglob("*"):
            if path.is_file():
                name = str(path.relative_to(product.parent)).replace("/", "\\")
                archive.writestr(name, path.read_bytes())
    safe = opened(tmp_path / "a.zip")
    assert safe.name == "P1.SAFE"
    assert safe.sizes == {"MTD_X.xml": 8, "GRANULE/image.jp2": 5}


@pytest.fixture
def pixels(tmp_path):
    """Return an image to be packed."""
    with rasterio.open(
        tmp_path / "image.tif", "w", driver="GTiff", dtype="uint8", count=1, width=3, height=2,
        crs="EPSG:32631", transform=rasterio.Affine(10, 0, 0, 0, -10, 0),
    ) as image:  # fmt: skip
        image.write(np.arange(6, dtype=np.uint8).reshape(1, 2, 3))
    return (tmp_path / "image.tif").read_bytes()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2,
                                    zipfile.ZIP_LZMA])  # fmt: skip
@pytest.mark.parametrize("folder", ["P1.SAFE/", "P1.SAFE\\", "./P1.SAFE/", "\u00e9t\u00e9/", "a//"])
def test_what_python_reads_gdal_reads_too(tmp_path, pixels, folder, method):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        archive.writestr(f"{folder}MTD_X.xml", "<a>1</a>")
        archive.writestr(f"{folder}B02.jp2", pixels)
    safe = opened(tmp_path / "a.zip")
    assert safe.read_xml("MTD_X.xml").text == "1"
    with open_image(safe.location("B02.jp2")) as image:
        assert image.read(1).tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(("number", "name"), [(9, "Deflate64"), (93, "Zstandard"), (77, "77")])
def test_a_method_of_packing_that_nobody_here_reads_is_named(tmp_path, number, name):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("notes.txt", "this one is beside the product")
        archive.writestr("P/MTD_X.xml", "<a/>")
    content = bytearray((tmp_path / "a.zip").read_bytes())
    entry = content.rindex(b"PK\x01\x02")
    content[entry + 10 : entry + 12] = struct.pack("<H", number)
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(InputError, match=rf"P/MTD_X\.xml in a\.zip is packed with .*{name}"):
        opened(tmp_path / "a.zip")


def damaged(content, seed):
    random = np.random.default_rng(seed)
    broken = bytearray(content)
    for place in random.integers(0, len(broken), 4):
        broken[place] = random.integers(256)
    return bytes(broken)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_whatever_is_damaged_in_a_zip_file_is_an_error_of_the_input(tmp_path, method):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("MTD_X.xml", "<a>" + "1 2 3" * 50 + "</a>")
        archive.writestr("\u00e9.xml", "<a/>")
    content, refused = path.read_bytes(), 0
    for seed in range(400):
        path.write_bytes(damaged(content, seed))
        try:
            safe = opened(path)
            safe.read_xml(next(filter(MARKER.fullmatch, safe.sizes)))
        except InputError as error:
            assert "a.zip" in error.message
            refused += 1
    assert refused > 200


def test_what_operating_systems_leave_behind_is_no_content(product, tmp_path):
    (product / "._MTD_X.xml").write_bytes(b"x")
    (product / "GRANULE" / ".DS_Store").write_bytes(b"x")
    (product.parent / "__MACOSX" / "P1.SAFE").mkdir(parents=True)
    (product.parent / "__MACOSX" / "P1.SAFE" / "MTD_X.xml").write_bytes(b"x")
    for path in (product.parent, pack(product.parent, tmp_path / "a.zip")):
        assert set(opened(path).sizes) == {"MTD_X.xml", "GRANULE/image.jp2"}


@pytest.mark.parametrize(
    "text",
    [
        b'<?xml version="1.0" encoding="klingon"?><a/>',
        b'<?xml version="1.0" encoding="shift_jis"?><a/>',
        b'<?xml version="1.0" encoding="utf-16"?><a/>',
        b'<?xml version="1.0" encoding="rot13"?><a/>',
        b'<?xml version="1.0" encoding="utf-8"?><a>\xff</a>',
        b"\xff\xfe<\x00", b"", b"\x00", b"<a" * 100_000,
    ],
)  # fmt: skip
def test_xml_in_no_known_encoding_is_an_error_of_the_input(text):
    with pytest.raises(InputError, match=r"x\.xml"):
        parse_xml(text, "x.xml")


def test_a_gzipped_document_is_read_whatever_it_is_called(tmp_path):
    path = tmp_path / "orbit.EOF"
    path.write_bytes(gzip.compress(b"<a>1</a>") + gzip.compress(b"<!-- two members -->"))
    assert read_document(path) == b"<a>1</a><!-- two members -->"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda packed: packed[:-9], "damaged"),
        (lambda packed: packed[:4], "damaged"),
        (lambda packed: packed[:12] + b"damage" + packed[18:], "damaged"),
        (lambda packed: packed[:-8] + bytes(8), "damaged"),
        (lambda packed: packed[:2] + b"\x07" + packed[3:], "damaged"),
    ],
    ids=["truncated", "header", "content", "checksum", "method"],
)
def test_a_damaged_gzip_file_is_refused(tmp_path, change, reason):
    path = tmp_path / "orbit.EOF.gz"
    path.write_bytes(change(gzip.compress(bytes(range(256)) * 4)))
    with pytest.raises(InputError, match=rf"orbit\.EOF\.gz is {reason}"):
        read_document(path)


def test_a_gzip_file_is_unpacked_no_further_than_a_document_may_reach(tmp_path):
    path = tmp_path / "bomb.EOF.gz"
    member = gzip.compress(bytes(2**20))
    path.write_bytes(member * 40_000)  # 40 GB in 40 MB
    with pytest.raises(InputError, match=r"bomb\.EOF\.gz has more than 67108864 bytes"):
        read_document(path)
