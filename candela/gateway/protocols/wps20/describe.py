"""GetCapabilities and DescribeProcess of WPS 2.0."""

from collections.abc import Iterable

from lxml import etree

from candela.gateway.protocols.service_metadata import (
    identification,
    operations,
    provider,
    update_sequence,
)
from candela.gateway.protocols.wps20.xml import BARE, OWS, OWS_NS, TEXT, VERSION, WPS, XML
from candela.gateway.protocols.xml import LANG, LANGUAGE
from candela.gateway.results import literal_text
from candela.settings import Metadata
from candela.spec import UNBOUNDED, InputSpec, OutputSpec, ProcessSpec

XSD = "http://www.w3.org/2001/XMLSchema#"
DATA_TYPES = {"datetime": "dateTime"}  # by type of a literal, where the names differ
REFERENCE = f"{{{OWS_NS}}}reference"
BY_GET_AND_POST = ("GetCapabilities", "DescribeProcess", "GetStatus", "GetResult", "Dismiss")
BY_POST = ("Execute",)
CRS = ("EPSG:4326",)  # of an output: the one that is named, though it is that of the value


def capabilities(specs: Iterable[ProcessSpec], metadata: Metadata, endpoint: str) -> etree._Element:
    """Return the capabilities document (OGC 14-065r2, 9.5.2)."""
    specs = list(specs)
    return WPS.Capabilities(
        identification(OWS, metadata, VERSION),
        provider(OWS, metadata),
        operations(OWS, endpoint, BY_GET_AND_POST, BY_POST),
        WPS.Contents(
            *(
                WPS.ProcessSummary(
                    OWS.Title(spec.title),
                    OWS.Abstract(spec.abstract),
                    *_keywords(spec),
                    OWS.Identifier(spec.identifier),
                    **_properties(spec),
                )
                for spec in specs
            )
        ),
        service="WPS",
        version=VERSION,
        updateSequence=update_sequence(specs, metadata),
    )


def offerings(specs: Iterable[ProcessSpec]) -> etree._Element:
    """Return the DescribeProcess document (OGC 14-065r2, 9.6.2)."""
    return WPS.ProcessOfferings(
        *(WPS.ProcessOffering(_process(spec), **_properties(spec)) for spec in specs)
    )


def _properties(spec: ProcessSpec) -> dict[str, str]:
    return {
        "processVersion": spec.version,
        "jobControlOptions": "sync-execute async-execute dismiss",
        "outputTransmission": "value reference",
    }


def _keywords(spec: ProcessSpec) -> list[etree._Element]:
    if not spec.keywords:
        return []
    return [OWS.Keywords(*(OWS.Keyword(word) for word in spec.keywords))]


def _titles(identifier: str, title: str, abstract: str) -> list[etree._Element]:
    abstracts = [OWS.Abstract(abstract)] if abstract else []
    return [OWS.Title(title), *abstracts, OWS.Identifier(identifier)]


def _process(spec: ProcessSpec) -> etree._Element:
    process = WPS.Process(
        OWS.Title(spec.title),
        OWS.Abstract(spec.abstract),
        *_keywords(spec),
        OWS.Identifier(spec.identifier),
        *(_input(name, given) for name, given in spec.inputs.items()),
        *(_output(name, output) for name, output in spec.outputs.items()),
        *(
            WPS.Output(
                *_titles(name, title, "An address that map clients take as that of the service."),
                WPS.ComplexData(*_formats((media_type,))),
            )
            for name, (_, media_type, title) in spec.links.items()
        ),
    )
    process.set(LANG, LANGUAGE)
    return process


def _input(name: str, given: InputSpec) -> etree._Element:
    is_unbounded = given.max_occurs == UNBOUNDED
    return WPS.Input(
        *_titles(name, given.title, given.abstract),
        _literal(given) if given.is_literal else _data(given, given.crs if given.is_bbox else ()),
        minOccurs=str(given.min_occurs if given.default is None else 0),
        maxOccurs="unbounded" if is_unbounded else str(given.max_occurs),
    )


def _output(name: str, output: OutputSpec) -> etree._Element:
    titles = _titles(name, output.title, output.abstract)
    if output.is_literal:
        domain = BARE.LiteralDataDomain(OWS.AnyValue(), _data_type(output.type), default="true")
        return WPS.Output(*titles, WPS.LiteralData(*_formats((XML, TEXT)), domain))
    return WPS.Output(*titles, _data(output, CRS if output.is_bbox else ()))


def _data(described: InputSpec | OutputSpec, crs: tuple[str, ...]) -> etree._Element:
    if not described.is_bbox:
        return WPS.ComplexData(*_formats(described.media_types))
    names = [WPS.SupportedCRS(name) for name in crs]
    names[0].set("default", "true")
    return WPS.BoundingBoxData(*_formats((XML,)), *names)


def _formats(media_types: tuple[str, ...]) -> list[etree._Element]:
    formats = [WPS.Format(mimeType=media_type) for media_type in media_types]
    formats[0].set("default", "true")
    return formats


def _data_type(type_: str) -> etree._Element:
    name = DATA_TYPES.get(type_, type_)
    return OWS.DataType({REFERENCE: XSD + name}, name)


def _literal(given: InputSpec) -> etree._Element:
    domain = BARE.LiteralDataDomain(_values(given), _data_type(given.type), default="true")
    if given.unit:
        domain.append(OWS.UOM(given.unit))
    if given.default is not None:
        domain.append(OWS.DefaultValue(_text(given.default)))
    return WPS.LiteralData(*_formats((TEXT, XML)), domain)


def _values(given: InputSpec) -> etree._Element:
    if given.allowed:
        return OWS.AllowedValues(*(OWS.Value(_text(value)) for value in given.allowed))
    bounds = [
        element(f"{bound:g}")
        for element, bound in (
            (OWS.MinimumValue, given.minimum),
            (OWS.MaximumValue, given.maximum),
        )
        if bound is not None
    ]
    return OWS.AllowedValues(OWS.Range(*bounds)) if bounds else OWS.AnyValue()


def _text(value: object) -> str:
    return literal_text(value) if isinstance(value, bool | float | str) else str(value)
