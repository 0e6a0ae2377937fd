"""Start a gateway."""

import logging
from collections.abc import Sequence
from pathlib import Path

from candela.commands.screen import console
from candela.gateway.ops.logs import set_up_logging
from candela.gateway.server import serve
from candela.settings import Settings

NOTES = console(stderr=True)


def serve_gateway(
    *,
    url: str | None,
    bind: str | None,
    internal_bind: str | None,
    data: Path | None,
    database: str | None,
    input_folders: Sequence[Path],
    allowed_hosts: Sequence[str],
    verbose: bool,
) -> None:
    """Serve until Ctrl-C; what is None or empty comes from the environment.

    Raises
    ------
    ConfigurationError, SpecError
        If the gateway cannot be put together; no address is shown then.
    """
    given = {
        "url": url,
        "internal_bind": internal_bind,
        "data": data,
        "database": database,
        "input_folders": tuple(input_folders),
        "allowed_hosts": tuple(allowed_hosts),
    }
    settings = Settings.from_environment(**{key: value for key, value in given.items() if value})
    set_up_logging(
        logging.DEBUG if verbose else logging.INFO, as_json=settings.log_format == "json"
    )
    serve(settings, bind, announce=lambda: _show_addresses(settings))


def _show_addresses(settings: Settings) -> None:
    base = settings.base_url
    NOTES.print(f"[bold]CANDELA[/bold] at {base} (Ctrl-C ends it)")
    for name, address in (
        ("web pages", base),
        ("map", f"{base}/map"),
        ("WPS", f"{base}/wps?service=WPS&request=GetCapabilities"),
        ("maps", settings.maps_url),
        ("data", str(settings.folder)),
        *(("inputs", str(folder.resolve())) for folder in settings.input_folders),
        *(("inputs", host) for host in settings.allowed_hosts),
    ):
        NOTES.print(f"  {name:<10} {address}", markup=False, soft_wrap=True)
