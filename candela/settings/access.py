"""Who may ask."""

from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import SecretStr

from candela.settings.base import ConfigurationError, Default, Group

SHORTEST_PROOF = 16  # bytes


class AccessSettings(Group):
    """Identity, and web sites that may read answers."""

    owner_header: Annotated[str, Default("none")] = ""
    """The header in which a reverse proxy passes the authenticated user. Owners see only their own
    jobs, results, uploads and patches, and jobs are scheduled fairly between owners. It counts
    only from the [trusted proxy](operators/secure.md#who-asks). Without it all users see all."""

    operators: tuple[str, ...] = ()
    """Users in that header that see the objects of all owners, such as `["ada"]`."""

    proxy_secret_file: Path | None = None
    """The file with the shared secret that the proxy sends in the header `X-Candela-Proxy`
    (16 bytes or more). Without it only a proxy at a loopback address is trusted; in a cluster it is
    required."""

    proxy_secret: Annotated[SecretStr, Default("none")] = SecretStr("")
    """The same as text."""

    private_layers: bool = False
    """Whether layers are for their owner (and operators) only; otherwise a published layer is
    public, its pixels too. Needs `CANDELA_OWNER_HEADER`."""

    readers: tuple[str, ...] = ("*",)
    """Origins, such as `https://maps.example.org`, whose pages may read responses in a browser
    (CORS); `*` means all. Listed origins may also submit and dismiss jobs, see
    [security](security.md#browsers)."""

    @cached_property
    def proxy_proof(self) -> bytes:
        """What a trusted proxy sends; empty where only one on this machine is trusted.

        Raises
        ------
        ConfigurationError
            If the file cannot be read, or is shorter than 16 bytes.
        """
        proof = self.proxy_secret.get_secret_value().encode()
        if self.proxy_secret_file is not None:
            try:
                proof = self.proxy_secret_file.read_bytes().strip()
            except OSError as error:
                raise ConfigurationError(f"proxy_secret_file: {error}") from error
        if (proof or self.proxy_secret_file) and len(proof) < SHORTEST_PROOF:
            raise ConfigurationError(
                f"the proxy secret has {len(proof)} bytes, expected {SHORTEST_PROOF} or more"
            )
        return proof
