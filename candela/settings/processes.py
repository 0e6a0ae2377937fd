"""Which processes operators may add at run time."""

from typing import Annotated

from pydantic import Field, StringConstraints

from candela.settings.base import Group

MEMORY = r"^[1-9][0-9]*(Mi|Gi)$"


class ProcessSettings(Group):
    """Processes added at run time (experimental)."""

    manage_processes: bool = False
    """Whether operators may add, replace and remove processes at run time, see
    [processes at run time](operators/processes.md). Without `CANDELA_OWNER_HEADER` whoever reaches
    the gateway is an operator."""

    process_images: tuple[str, ...] = ()
    """What their images may be, in a cluster: repositories, or folders of them, such as
    `registry.example.org/candela`. An image is named by its digest."""

    most_processes: int = Field(default=100, ge=0)
    """How many of them there may be."""

    process_cpu: float = Field(default=4, gt=0)
    """The most cores that one of them may ask for."""

    process_memory: Annotated[str, StringConstraints(pattern=MEMORY)] = "8Gi"
    """The most memory that one of them may ask for."""

    process_gpu: int = Field(default=0, ge=0)
    """The most graphics processors that one of them may ask for."""

    process_timeout_s: int = Field(default=86_400, gt=0)
    """The longest time limit that one of them may ask for."""
