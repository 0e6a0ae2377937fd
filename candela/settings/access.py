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
    """The header in which a reverse proxy names who asks: each owner sees their own jobs, results,
    uploads and patches, and owners share the machine fairly. It counts only from the
    [trusted proxy](operators/secure.md#who-asks). Without it everybody sees everything."""

    operators: tuple[str, ...] = ()
    """Names in that header that see what all owners have, such as `["ada"]`."""

    proxy_secret_file: Path | None = None
    """The file with what that proxy proves itself by, in the header `X-Candela-Proxy` (16 bytes or
    more). Without it a proxy at a loopback address is trusted and no other; needed in a cluster."""

    proxy_secret: Annotated[SecretStr, Default("none")] = SecretStr("")
    """The same as text."""

    private_layers: bool = False
    """Whether layers are for their owner (and operators) only; otherwise a published layer is
    public, its pixels too. Needs `CANDELA_OWNER_HEADER`."""

    readers: tuple[str, ...] = ("*",)
    """Web sites, such as `https://maps.example.org`, whose pages may read answers in a browser
    (CORS); `*` means all. Those that are named may also order and dismiss jobs, see
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
