"""Which map server shows results: the settings decide."""

from pathlib import Path

from candela.publish.base import Publisher
from candela.publish.mapfile import Provider
from candela.publish.mapserver import MapServerPublisher
from candela.settings import ConfigurationError, Metadata, Settings


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
        public_url=settings.geoserver_public_url or settings.geoserver_url,
        prefix=settings.geoserver_prefix,
        mode=settings.geoserver_mode,
        folder=settings.geoserver_folder
        or (settings.folder / "published" if settings.geoserver_mode == "file" else None),
        outputs_url=f"{settings.base_url}/outputs",
        private=settings.private_layers,
        mosaic_index=_text(settings.geoserver_mosaic_index),
    )
    return GeoServerPublisher(rest, site)


def _text(path: Path | None) -> str:
    try:
        return path.read_text(encoding="utf-8") if path else ""
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
