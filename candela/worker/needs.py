"""The needs of a process: keywords of ``run`` that the worker provides, not the request."""

from collections.abc import Callable

from candela.contract.job import JobDocument
from candela.patches.store.target import PatchTarget
from candela.spec import ProcessSpec
from candela.worker.settings import WorkerSettings


def needed(spec: ProcessSpec, job: JobDocument) -> dict[str, object]:
    """Return the keywords of ``run`` that a process asks for with ``run: {needs: [...]}``."""
    return {need: PROVIDERS[need](job) for need in spec.run.needs}


def _patches(job: JobDocument) -> PatchTarget:
    return PatchTarget(WorkerSettings().patches_database.get_secret_value(), job.owner)


PROVIDERS: dict[str, Callable[[JobDocument], object]] = {"patches": _patches}
