"""GetCapabilities and DescribeProcess of WPS 1.0.0."""

from collections.abc import Iterable, Mapping

from lxml import etree

from candela.gateway.protocols.service_metadata import (
    identification,
    operations,
    provider,
    update_sequence,
)
from candela.gateway.protocols.wps10.xml import BARE, OWS, VERSION, WPS, WPS_NS
from candela.gateway.protocols.xml import LANG, LANGUAGE
from candela.gateway.results import literal_text
from candela.settings import Metadata
from candela.spec import InputSpec, OutputSpec, ProcessSpec

XSD = "http://www.w3.org/TR/xmlschema-2/#"
DATA_TYPES = {"datetime": "dateTime"}  # by type of a literal, where the names differ
PROCESS_VERSION = f"{{{WPS_NS}}}processVersion"


def capabilities(
    specs: Mapping[str, ProcessSpec], metadata: Metadata, endpoint: str
) -> etree._Element:
    """Return the capabilities document (OGC 05-007r7, 8.3)."""
    root = WPS.Capabilities(
        identification(OWS, metadata, VERSION),
        provider(OWS, metadata),
        operations(OWS, endpoint, ("GetCapabilities", "DescribeProcess", "Execute")),
        WPS.ProcessOfferings(*(_brief(spec) for spec in specs.values())),
        WPS.Languages(WPS.Default(OWS.Language(LANGUAGE)), WPS.Supported(OWS.Language(LANGUAGE))),
        service="WPS",
        version=VERSION,
        updateSequence=update_sequence(specs.values(), metadata),
    )
    root.set(LANG, LANGUAGE)
    return root


def _titles(identifier: str, title: str, abstract: str) -> list[etree._Element]:
    return [OWS.Identifier(identifier), OWS.Title(title), OWS.Abstract(abstract)]


def process_titles(spec: ProcessSpec) -> list[etree._Element]:
    """Return what every mention of a process begins with."""
    return _titles(spec.identifier, spec.title, spec.abstract)


def _brief(spec: ProcessSpec) -> etree._Element:
    return WPS.Process({PROCESS_VERSION: spec.version}, *process_titles(spec))


def descriptions(specs: Iterable[ProcessSpec]) -> etree._Element:
    """Return the DescribeProcess document (OGC 05-007r7, 9.3).

    NOTE: the children of ProcessDescription are in no namespace, as the schema wants it.
    """
    root = WPS.ProcessDescriptions(
        *(_description(spec) for spec in specs), service="WPS", version=VERSION
    )
    root.set(LANG, LANGUAGE)
    return root


def _description(spec: ProcessSpec) -> etree._Element:
    description = BARE.ProcessDescription(
        {PROCESS_VERSION: spec.version},
        *process_titles(spec),
        storeSupported="true",
        statusSupported="true",
    )
    if spec.inputs:
        description.append(
            BARE.DataInputs(*(_input(name, given) for name, given in spec.inputs.items()))
        )
    outputs = [_output(name, output) for name, output in spec.outputs.items()]
    outputs += [
        BARE.Output(
            *_titles(name, title, "An address that map clients take as that of the service."),
            BARE.ComplexOutput(*_formats((media_type,))),
        )
        for name, (_, media_type, title) in spec.links.items()
    ]
    description.append(BARE.ProcessOutputs(*outputs))
    return description


def _input(name: str, given: InputSpec) -> etree._Element:
    least = given.min_occurs if given.default is None else 0
    element = BARE.Input(
        *_titles(name, given.title, given.abstract),
        minOccurs=str(least),
        maxOccurs=str(given.max_occurs),
    )
    if given.is_literal:
        element.append(_literal(given))
    elif given.is_bbox:
        element.append(
            BARE.BoundingBoxData(
                BARE.Default(BARE.CRS(given.crs[0])),
                BARE.Supported(*(BARE.CRS(crs) for crs in given.crs)),
            )
        )
    else:
        element.append(BARE.ComplexData(*_formats(given.media_types)))
    return element


def _data_type(type_: str) -> etree._Element:
    name = DATA_TYPES.get(type_, type_)
    return OWS.DataType({"{http://www.opengis.net/ows/1.1}reference": XSD + name}, name)


def _units(unit: str) -> list[etree._Element]:
    if not unit:
        return []
    return [BARE.UOMs(BARE.Default(OWS.UOM(unit)), BARE.Supported(OWS.UOM(unit)))]


def _literal(given: InputSpec) -> etree._Element:
    literal = BARE.LiteralData(_data_type(given.type), *_units(given.unit))
    bounds = [
        element(f"{bound:g}")
        for element, bound in (
            (OWS.MinimumValue, given.minimum),
            (OWS.MaximumValue, given.maximum),
        )
        if bound is not None
    ]
    if given.allowed:
        literal.append(
            OWS.AllowedValues(*(OWS.Value(literal_text(value)) for value in given.allowed))
        )
    elif bounds:
        literal.append(OWS.AllowedValues(OWS.Range(*bounds)))
    else:
        literal.append(OWS.AnyValue())
    if given.default is not None:
        literal.append(BARE.DefaultValue(literal_text(given.default)))
    return literal


def _output(name: str, output: OutputSpec) -> etree._Element:
    element = BARE.Output(*_titles(name, output.title, output.abstract))
    if output.is_literal:
        element.append(BARE.LiteralOutput(_data_type(output.type)))
    elif output.is_bbox:
        element.append(
            BARE.BoundingBoxOutput(
                BARE.Default(BARE.CRS("EPSG:4326")), BARE.Supported(BARE.CRS("EPSG:4326"))
            )
        )
    else:
        element.append(BARE.ComplexOutput(*_formats(output.media_types)))
    return element


def _formats(media_types: tuple[str, ...]) -> list[etree._Element]:
    def described(media_type: str) -> etree._Element:
        return BARE.Format(BARE.MimeType(media_type))

    return [
        BARE.Default(described(media_types[0])),
        BARE.Supported(*(described(media_type) for media_type in media_types)),
    ]
