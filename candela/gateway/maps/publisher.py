"""Which map server shows results: the settings decide."""

from collections.abc import Mapping
from pathlib import Path

from candela.errors import PublicationError, SpecError
from candela.gateway.outputs import token_of_map_server
from candela.publish.base import Publisher
from candela.publish.mapfile import Provider
from candela.publish.mapserver import MapServerPublisher
from candela.publish.styles import load_style, shows
from candela.settings import ConfigurationError, Metadata, Settings
from candela.spec import ProcessSpec


def make_publisher(settings: Settings, metadata: Metadata) -> Publisher:
    """Return the publisher that the settings ask for; nothing is started.

    Raises
    ------
    ConfigurationError
        If a file that the settings name cannot be read.
    """
    if settings.publisher == "mapserver":
        contact = metadata.contact
        provider = Provider(
            metadata.provider, contact.name, contact.position, contact.phone, contact.email
        )
        return MapServerPublisher(
            settings.folder / "ows", settings.base_url, title=metadata.title, provider=provider
        )
    from candela.publish.geoserver.publisher import GeoServerPublisher, Site
    from candela.publish.geoserver.rest import Account, GeoServerRest

    account = Account(settings.geoserver_user, _text(settings.geoserver_password_file).strip())
    rest = GeoServerRest(
        settings.geoserver_url, account, certificates=settings.geoserver_certificates
    )
    site = Site(
        public_url=settings.geoserver_site,
        prefix=settings.geoserver_prefix,
        mode=settings.geoserver_mode,
        folder=settings.geoserver_folder
        or (settings.folder / "published" if settings.geoserver_mode == "file" else None),
        outputs_url=f"{settings.base_url}/outputs/{token_of_map_server(settings)}",
        private=settings.private_layers,
        mosaic_index=_text(settings.geoserver_mosaic_index),
    )
    return GeoServerPublisher(rest, site)


def check_styles(specs: Mapping[str, ProcessSpec]) -> None:
    """Read the styles that processes ask for.

    Raises
    ------
    SpecError
        If there is no such style, it is wrong, or it is for another type of output.
    """
    for spec in specs.values():
        for name, output in spec.layers.items():
            assert output.publish is not None  # it is a layer
            place = f"process {spec.identifier}, output {name}"
            try:
                style = load_style(output.publish.style)
            except PublicationError as error:
                raise SpecError(f"{place}: {error}") from error
            if not shows(style, output.type):
                raise SpecError(
                    f"{place}: style {output.publish.style!r} is of kind {style.kind}, which shows "
                    f"no {output.type}"
                )


def _text(path: Path | None) -> str:
    try:
        return path.read_text(encoding="utf-8") if path else ""
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
