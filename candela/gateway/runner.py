"""What runs the jobs of a gateway, as its settings say."""

from collections.abc import Mapping

from candela.errors import NotFoundError
from candela.jobs.tokens import NO_ATTEMPT, token_for
from candela.runners.base import Limits, Runner
from candela.runners.local import LocalRunner
from candela.settings import ConfigurationError, Settings
from candela.spec import ProcessSpec, find_spec
from candela.storage import Storage
from candela.worker.settings import PATCHES_DATABASE


def make_runner(settings: Settings, storage: Storage, specs: Mapping[str, ProcessSpec]) -> Runner:
    """Return a runner, at work.

    Raises
    ------
    ConfigurationError
        If jobs cannot be run in this way.
    StorageError
        If there is no cluster.
    """
    if settings.runner == "local":
        return LocalRunner(
            storage, settings.folder / "work", environment=_worker_environment(settings)
        )
    # Imported where they are needed: the client of the cluster takes a while.
    from candela.runners.kubernetes import KubernetesRunner
    from candela.runners.manifest import Images, TemplateError, load_template
    from candela.runners.startup import StartTimeouts
    from candela.runners.warm import WarmSettings

    assert settings.job_template is not None  # the settings see to it
    try:
        template = load_template(settings.job_template)
    except TemplateError as error:
        raise ConfigurationError(str(error)) from error
    try:
        processes = {
            name: (count, Limits.of(find_spec(specs, name).run))
            for name, count in settings.warm.items()
        }
    except NotFoundError as error:
        raise ConfigurationError(f"settings (CANDELA_WARM): {error.message}") from error
    return KubernetesRunner(
        storage,
        template,
        namespace=settings.namespace,
        images=Images(settings.image_prefix, settings.image_tag),
        timeouts=StartTimeouts(settings.image_pull_timeout_s, settings.unschedulable_timeout_s),
        queue=settings.queue,
        cpu_share=settings.cpu_share,
        warm=WarmSettings(
            processes,
            f"{settings.progress_url}/warm",
            lambda name: token_for(settings.signing_key, name, NO_ATTEMPT),
        ),
    )


def _worker_environment(settings: Settings) -> dict[str, str]:
    """Return what workers of this machine need to reach buckets and the patch database."""
    found: dict[str, str] = {}
    if address := settings.patches_database.get_secret_value():
        found[PATCHES_DATABASE] = address
    if settings.storage_url.startswith("s3:") or settings.input_buckets:
        from candela.storage.bucket import worker_environment  # boto3 takes a while to import

        found |= worker_environment(settings.s3_endpoint)
    return found
