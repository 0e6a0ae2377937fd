"""The service metadata of OWS Common, which the versions of WPS write in their own namespace."""

import hashlib
from collections.abc import Iterable

from lxml import etree
from lxml.builder import ElementMaker

from candela import __version__
from candela.gateway.protocols.xml import HREF
from candela.settings import Metadata
from candela.spec import ProcessSpec


def update_sequence(specs: Iterable[ProcessSpec], metadata: Metadata) -> str:
    """Return what changes whenever the capabilities do."""
    content = "".join(spec.model_dump_json() for spec in specs)
    content += metadata.model_dump_json() + __version__
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def identification(ows: ElementMaker, metadata: Metadata, version: str) -> etree._Element:
    """Return ows:ServiceIdentification of the only version that a document speaks of."""
    # NOTE: exactly one Title and one Abstract here: some clients pair them by position.
    return ows.ServiceIdentification(
        ows.Title(metadata.title),
        ows.Abstract(metadata.abstract),
        ows.Keywords(*(ows.Keyword(word) for word in metadata.keywords or ("WPS",))),
        ows.ServiceType("WPS"),
        ows.ServiceTypeVersion(version),
        ows.Fees(metadata.fees),
        ows.AccessConstraints(metadata.access_constraints),
    )


def provider(ows: ElementMaker, metadata: Metadata) -> etree._Element:
    """Return ows:ServiceProvider."""
    contact = metadata.contact
    address = [
        element(text)
        for element, text in (
            (ows.DeliveryPoint, contact.address),
            (ows.City, contact.city),
            (ows.AdministrativeArea, contact.region),
            (ows.PostalCode, contact.postal_code),
            (ows.Country, contact.country),
            (ows.ElectronicMailAddress, contact.email),
        )
        if text
    ]
    information = []
    if contact.phone:
        information.append(ows.Phone(ows.Voice(contact.phone)))
    if address:
        information.append(ows.Address(*address))
    details = [
        element(text)
        for element, text in (
            (ows.IndividualName, contact.name),
            (ows.PositionName, contact.position),
        )
        if text
    ]
    if information:
        details.append(ows.ContactInfo(*information))
    provider = ows.ServiceProvider(ows.ProviderName(metadata.provider))
    if metadata.provider_url:
        provider.append(ows.ProviderSite({HREF: metadata.provider_url}))
    provider.append(ows.ServiceContact(*details))
    return provider


def operations(
    ows: ElementMaker, endpoint: str, by_get_and_post: Iterable[str], by_post: Iterable[str] = ()
) -> etree._Element:
    """Return ows:OperationsMetadata of operations that are all at one address."""

    def operation(name: str, *methods: etree._Element) -> etree._Element:
        return ows.Operation(ows.DCP(ows.HTTP(*methods)), name=name)

    address = {HREF: endpoint}
    return ows.OperationsMetadata(
        *(operation(name, ows.Get(address), ows.Post(address)) for name in by_get_and_post),
        *(operation(name, ows.Post(address)) for name in by_post),
    )
