"""From Python values to what an Execute request carries, checked against the description."""

import datetime as dt
import json
import re
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal

from owslib.etree import etree
from owslib.namespaces import Namespaces
from owslib.wps import BoundingBoxDataInput, IComplexDataInput

from candela.client.descriptions import BOX, FILE, InputDescription, ProcessDescription
from candela.client.errors import InputValueError, NotOfferedError
from candela.client.outputs import Output

INLINE_BYTES = 4 * 2**20  # a file above this does not go into a request
FilesPolicy = Literal["auto", "reference", "inline"]
MEDIA_TYPES = {
    ".gpkg": "application/geopackage+sqlite3",
    ".zip": "application/zip",
}  # of files that are no text although their input takes text too

_NAMES = Namespaces().get_namespaces(["wps", "xlink"])
_WPS, _XLINK = _NAMES["wps"], _NAMES["xlink"]
_ADDRESS = re.compile(r"(https?|s3)://|file:/", re.IGNORECASE)
_SHORT_FILE = re.compile(r"file:/(?!/)", re.IGNORECASE)  # RFC 8089, appendix B
_XML = ("text/xml", "application/xml")
_BEGINNINGS = {"json": ("{", "["), "xml": ("<",)}  # of texts, by a part of their media type


@dataclass(frozen=True)
class Reference(IComplexDataInput):  # type: ignore[misc]  # OWSLib has no types
    """A value that the server fetches itself.

    Attributes
    ----------
    href : str
        An address, or ``file://`` and a path on the server's machine.
    media_type : str, optional
        By default that of the description.
    """

    href: str
    media_type: str | None = None

    def getXml(self) -> Any:  # noqa: ANN401, N802 - OWSLib's name
        """Return the ``wps:Reference``."""
        element = etree.Element(f"{{{_WPS}}}Reference", {f"{{{_XLINK}}}href": self.href})
        if self.media_type:
            element.set("mimeType", self.media_type)
        return element


@dataclass(frozen=True)
class Unsent:
    """A file that is to be uploaded as soon as all inputs are checked."""

    name: str  # of the input
    path: Path


@dataclass(frozen=True)
class Content(IComplexDataInput):  # type: ignore[misc]
    """A value that travels in the request: text, or bytes as base64.

    Attributes
    ----------
    data : str or bytes
        The content of the file.
    media_type : str, optional
        By default that of the description.
    """

    data: str | bytes
    media_type: str | None = None

    def getXml(self) -> Any:  # noqa: ANN401, N802
        """Return the ``wps:Data``."""
        element = etree.Element(f"{{{_WPS}}}Data")
        content = etree.SubElement(element, f"{{{_WPS}}}ComplexData")
        if self.media_type:
            content.set("mimeType", self.media_type)
        if isinstance(self.data, bytes):
            content.set("encoding", "base64")
            content.text = b64encode(self.data).decode()
        elif self.media_type in _XML:
            try:
                content.append(etree.fromstring(self.data.encode()))
            except etree.XMLSyntaxError as error:
                raise InputValueError(f"the text is no XML: {error}") from None
        else:
            content.text = self.data
        return element


def is_address(text: str) -> bool:
    """Tell an address from a path: ``http://``, ``https://``, ``s3://`` or ``file:/``."""
    return _ADDRESS.match(text) is not None


def encode_inputs(
    process: ProcessDescription,
    values: Mapping[str, object],
    *,
    files: FilesPolicy,
    send: Callable[[Path], str] | None = None,
) -> list[tuple[str, Any]]:
    """Return the inputs of a request as OWSLib takes them.

    Parameters
    ----------
    process : ProcessDescription
        What the process takes.
    values : mapping
        Python values by the name of the input; None means "not given".
    files : str
        Whether a local ``Path`` is sent as a ``reference`` or ``inline``; ``auto`` is a reference
        but for small files of inputs that take text: these need no folder that the server reads.
    send : callable, optional
        Uploads a file that is too large for a request, and returns its address.

    Raises
    ------
    InputValueError
        If an input is unknown or missing, or a value does not fit.
    """
    unknown = [name for name in values if name not in process.inputs]
    if unknown:
        offered = ", ".join(process.inputs) or "none"
        raise InputValueError(
            f"{process.identifier} has no input {unknown[0]!r} (inputs: {offered})"
        )
    encoded: list[tuple[str, Any]] = []
    for name, given in process.inputs.items():
        single = _singles(given, values.get(name))
        _check_count(process, given, len(single))
        encoded += [(name, _encode(given, value, files)) for value in single]
    return [
        (name, _sent(value, send) if isinstance(value, Unsent) else value)
        for name, value in encoded
    ]


def _sent(unsent: Unsent, send: Callable[[Path], str] | None) -> Reference:
    if send is None:
        raise InputValueError(_too_large(unsent))
    try:
        return Reference(send(unsent.path))
    except NotOfferedError:
        raise InputValueError(_too_large(unsent)) from None


def _too_large(unsent: Unsent) -> str:
    """Say what to do with a file that cannot be sent."""
    return (
        f"input {unsent.name!r}: {unsent.path} has {unsent.path.stat().st_size} bytes, at most "
        f"{INLINE_BYTES} travel in a request, and the server takes no uploads; put it where the "
        "server can read it, and give its address"
    )


def _singles(given: InputDescription, value: object) -> list[object]:
    """Return the values of an input one by one."""
    if value is None:
        return []
    if given.type == BOX and not _is_list_of_boxes(value):
        return [value]
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    return [value]


def _check_count(process: ProcessDescription, given: InputDescription, count: int) -> None:
    if count == 0 and given.is_required:
        raise InputValueError(f"{process.identifier} needs input {given.name!r}: {given.title}")
    if count > given.max_occurs or 0 < count < given.min_occurs:
        expected = "one value" if given.max_occurs == 1 else given.occurrence
        raise InputValueError(f"input {given.name!r} takes {expected}, found {count} values")


def _encode(given: InputDescription, value: object, files: FilesPolicy) -> Any:  # noqa: ANN401
    if given.type == FILE:
        return _file(given, value, files)
    if given.type == BOX:
        return _box(given, value)
    return _literal(given, value)


def _literal(given: InputDescription, value: object) -> str:
    if isinstance(value, Output):
        value = value.value
    try:
        text = value if isinstance(value, str) else _TEXTS[given.type](value)
    except (KeyError, TypeError, ValueError):
        raise InputValueError(
            f"input {given.name!r} is of type {given.type}, found {value!r}"
        ) from None
    if given.allowed and text not in [str(choice) for choice in given.allowed]:
        raise InputValueError(f"input {given.name!r} is one of {given.choice}, found {text}")
    _check_limits(given, value)
    return text


def _check_limits(given: InputDescription, value: object) -> None:
    if not isinstance(value, Real):
        return
    number = float(value)
    if (given.minimum is not None and number < given.minimum) or (
        given.maximum is not None and number > given.maximum
    ):
        raise InputValueError(f"input {given.name!r} goes {given.choice}, found {value}")


def _integer(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError
    return str(int(value))


def _float(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError
    return repr(float(value))


def _boolean(value: Any) -> str:  # noqa: ANN401
    if not isinstance(value, bool):
        raise TypeError
    return str(value).lower()


def _date(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, dt.datetime) or not isinstance(value, dt.date):
        raise TypeError
    return value.isoformat()


def _datetime(value: Any) -> str:  # noqa: ANN401
    if not isinstance(value, dt.datetime):
        raise TypeError
    return value.isoformat()


_TEXTS: dict[str, Callable[[Any], str]] = {
    "string": str,
    "integer": _integer,
    "float": _float,
    "boolean": _boolean,
    "date": _date,
    "datetime": _datetime,
}


def _is_box(value: object) -> bool:
    """Tell four coordinates, perhaps with a CRS after them, from a list of boxes."""
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and len(value) in {4, 5}
        and all(isinstance(number, Real) for number in value[:4])
    )


def _is_list_of_boxes(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(each, list | tuple) for each in value)


def _box(given: InputDescription, value: object) -> BoundingBoxDataInput:
    if not _is_box(value):
        raise InputValueError(
            f"input {given.name!r} is a bounding box: (left, bottom, right, top) or with a CRS "
            f"after them, found {value!r}"
        )
    assert isinstance(value, Sequence)
    crs = str(value[4]) if len(value) == 5 else (given.crs[0] if given.crs else "EPSG:4326")
    return BoundingBoxDataInput([float(number) for number in value[:4]], crs=crs)


def _file(
    given: InputDescription, value: object, files: FilesPolicy
) -> Reference | Content | Unsent:
    if isinstance(value, Reference | Content):
        return value
    if isinstance(value, Output):
        return _of_output(given, value)
    if isinstance(value, str) and _names_file(given, value):
        value = Path(value)
    if isinstance(value, Path):
        return _of_path(given, value, files)
    if isinstance(value, bytes):
        return Content(value)
    if isinstance(value, str) and is_address(value):
        return Reference(_SHORT_FILE.sub("file:///", value))
    media_type = given.media_types[0] if given.is_text else None
    if media_type and "json" in media_type:
        if hasattr(value, "__geo_interface__"):
            value = _geojson(value)
        if isinstance(value, dict):
            return Content(json.dumps(value, allow_nan=False), media_type)
    if isinstance(value, str) and media_type:
        _check_beginning(given, value)
        return Content(value, media_type)
    raise InputValueError(
        f"input {given.name!r} is a file: give a pathlib.Path, an address (http://...), an output "
        f"of another job{', text' if given.is_text else ''} or bytes; found {value!r}"
    )


def _check_beginning(given: InputDescription, text: str) -> None:
    """Refuse a text that is the path of a file which is not there, not XML or JSON."""
    for kind, beginnings in _BEGINNINGS.items():
        if kind in given.media_types[0] and not text.lstrip().startswith(beginnings):
            raise InputValueError(
                f"input {given.name!r}: there is no file {text!r}, and {kind.upper()} begins with "
                f"{' or '.join(beginnings)}"
            )


def _of_output(given: InputDescription, output: Output) -> Reference | Content:
    if output.href is not None:
        return Reference(output.href)
    if isinstance(output.value, str):
        return Content(output.value, given.media_types[0] if given.is_text else None)
    raise InputValueError(f"input {given.name!r} is a file, output {output.name!r} is none")


def _names_file(given: InputDescription, text: str) -> bool:
    """Tell the path of a file from the content of one: JSON and XML look different."""
    if is_address(text) or text.lstrip().startswith(("{", "[", "<")) or "\n" in text:
        return False
    is_any_text = given.is_text and given.media_types[0].startswith("text/")
    return not is_any_text and Path(text).is_file()


def _geojson(value: Any) -> object:  # noqa: ANN401 - whatever has __geo_interface__
    """Return what describes itself in GeoJSON's words; tables of GeoPandas know their CRS."""
    if getattr(value, "crs", None) is not None:
        value = value.to_crs(epsg=4326)
    return json.loads(json.dumps(value.__geo_interface__, default=str))


def _of_path(
    given: InputDescription, path: Path, files: FilesPolicy
) -> Reference | Content | Unsent:
    """Refer to a file where the server can see it; otherwise put it into the request."""
    if not path.exists():
        raise InputValueError(f"input {given.name!r}: {path} does not exist")
    is_small_text = given.is_text and path.is_file() and path.stat().st_size <= INLINE_BYTES
    if files == "reference" or (files == "auto" and not is_small_text):
        return Reference(path.absolute().as_uri())  # links keep their names: products have dates
    if path.is_dir():
        raise InputValueError(
            f"input {given.name!r}: {path} is a folder, which cannot be sent; zip it, or put it "
            "where the server can read it, and give its address"
        )
    if path.stat().st_size > INLINE_BYTES:
        return Unsent(given.name, path)
    media_type = MEDIA_TYPES.get(path.suffix.lower())
    if media_type in given.media_types:
        return Content(path.read_bytes(), media_type)
    if given.is_text:
        return Content(path.read_text(encoding="utf-8"), given.media_types[0])
    return Content(path.read_bytes())
