"""What runs jobs: this machine, or a Kubernetes."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from candela.settings.base import Default, Group


class ClusterSettings(Group):
    """The runner of jobs."""

    runner: Literal["local", "kubernetes"] = "local"
    """What runs jobs: `local` (processes of this machine) or `kubernetes` (a pod for each), see
    [in a cluster](operators/install.md)."""

    namespace: str = "default"
    """The namespace in which Jobs are made."""

    job_template: Path | None = None
    """The Job that is filled in for each attempt: `k8s/base/job-template.yaml` or your own."""

    image_prefix: str = "localhost/candela-"
    """What the names of workers' images begin with: `<prefix><kind>:<tag>`."""

    image_tag: str = "dev"
    """The tag of workers' images."""

    image_pull_timeout_s: float = Field(default=300, gt=0)
    """How long a pod may wait for an image that cannot be pulled (`ImagePullBackOff`)."""

    unschedulable_timeout_s: float = Field(default=86_400, gt=0)
    """How long a pod may be `Unschedulable`."""

    cpu_share: float = Field(default=1, gt=0, le=1)
    """The part of a process's cores that its pod requests, 0 to 1; it may use all of them."""

    queue: Annotated[str, Default("none")] = ""
    """The local queue of [Kueue](https://kueue.sigs.k8s.io) in which Jobs wait."""

    warm: dict[str, PositiveInt] = Field(default_factory=dict)
    """The number of warm pods per process, started before there is a job, such as `{"Echo": 1}`,
    see [scale](operators/scale.md#pods-that-wait-for-jobs)."""
