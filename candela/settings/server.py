"""Where the gateway is, and where it keeps its files."""

from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

from candela.settings.base import ConfigurationError, Default, Group, Option
from candela.signing import MINIMUM_BYTES, kept_key


class ServerSettings(Group):
    """The gateway itself."""

    url: Annotated[str, Option("--url")] = "http://127.0.0.1:8080"
    """The address under which clients reach the gateway; all links begin with it. Commands such as
    `candela jobs` ask there."""

    internal_bind: Annotated[str, Option("--internal-bind"), Default("none")] = ""
    """`HOST:PORT` for workers, probes and metrics: then `/metrics`, `/usage`, `/warm` and the
    progress of jobs are answered there and nowhere else, see
    [two ports](operators/secure.md#two-ports)."""

    worker_url: Annotated[str, Default("the internal port, or `CANDELA_URL` without one")] = ""
    """The address under which workers reach the gateway to report progress."""

    data: Annotated[Path, Option("--data")] = Path("candela-data")
    """Folder of jobs, results and layers. One gateway uses it, a second one is refused (in a
    cluster gateways may share it)."""

    config: Annotated[Path, Default("the installed `wps_config`")] = Path(
        str(files("candela.wps_config"))
    )
    """Folder with `pywps.cfg` and `metadata.yaml`."""

    secret: Annotated[str, Default("made once, kept in the data folder")] = ""
    """Signs the tokens of workers; 32 bytes at least (`openssl rand -hex 32`)."""

    log_format: Literal["text", "json"] = "text"
    """Log format, `text` or `json`: one object a line, with `time`, `level`, `logger`, `message`
    and `job`."""

    @cached_property
    def base_url(self) -> str:
        """The public address without a slash at its end."""
        return self.url.rstrip("/")

    @cached_property
    def progress_url(self) -> str:
        """The address to which workers report, without a slash at its end."""
        internal = ""
        if self.internal_bind:
            host, _, port = self.internal_bind.rpartition(":")
            host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)
            internal = f"http://{host}:{port}"
        return (self.worker_url or internal or self.url).rstrip("/")

    @cached_property
    def folder(self) -> Path:
        """The data folder, absolute."""
        return self.data.resolve()

    @cached_property
    def signing_key(self) -> bytes:
        """The key for worker tokens.

        Raises
        ------
        ConfigurationError
            If it is too short to protect anything, or cannot be kept.
        """
        path = self.folder / "secret"
        try:
            key = self.secret.encode() if self.secret else kept_key(path)
        except OSError as error:
            raise ConfigurationError(f"{path}: the key cannot be kept: {error}") from error
        if len(key) < MINIMUM_BYTES:
            place = "settings (CANDELA_SECRET)" if self.secret else str(path)
            raise ConfigurationError(
                f"{place}: the key has {len(key)} bytes, expected at least {MINIMUM_BYTES}"
                + (
                    ""
                    if self.secret
                    else "; remove the file, and a new key is made at the next start"
                )
            )
        return key
