"""The gateway as a Flask application, and the parts it is made of."""

import logging
from dataclasses import dataclass

from flask import Flask

from candela.contract.addresses import AddressGuard
from candela.gateway import outputs, problems, processes_admin, uploads
from candela.gateway.access import identity, ports
from candela.gateway.access.browsers import Sites, protect
from candela.gateway.console import pages_blueprint, problem_page
from candela.gateway.console.job_pages import JobPages
from candela.gateway.maps import ows
from candela.gateway.maps.publisher import check_styles, make_publisher
from candela.gateway.ops import probes, progress, usage, warm_pods
from candela.gateway.ops.metrics import Metrics
from candela.gateway.parameters import refuse_nul
from candela.gateway.protocols import geoserver_address, versions
from candela.gateway.protocols.ogcapi import news as ogcapi_news
from candela.gateway.protocols.ogcapi import routes as ogcapi
from candela.gateway.protocols.ogcapi.service import OgcApi
from candela.gateway.protocols.waiting import Waiting
from candela.gateway.protocols.wps10 import service as wps10
from candela.gateway.protocols.wps10 import xml as wps10_xml
from candela.gateway.protocols.wps20 import service as wps20
from candela.gateway.protocols.wps20 import xml as wps20_xml
from candela.gateway.registration import Registration
from candela.gateway.results import Addresses
from candela.gateway.runner import make_runner
from candela.gateway.search import routes as search
from candela.gateway.search.patches import PatchesApi
from candela.gateway.stac import routes as stac
from candela.gateway.stac.catalogue import ResultCatalogue
from candela.gateway.staging import staging_of
from candela.jobs.callback_sender import CallbackSender
from candela.jobs.catalogue import ProcessCatalogue
from candela.jobs.dispatcher import Dispatcher
from candela.jobs.reconciler import Reconciler
from candela.jobs.service import JobService
from candela.jobs.store import JobStore
from candela.publish.mapserver import MapServerPublisher
from candela.settings import Limits, Metadata, Settings
from candela.spec import load_specs
from candela.storage import open_storage
from candela.storage.copies import LocalCopies

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Gateway:
    """All parts of one gateway process."""

    settings: Settings
    metadata: Metadata
    jobs: JobService
    dispatcher: Dispatcher
    reconciler: Reconciler
    callbacks: CallbackSender
    patches: PatchesApi

    @classmethod
    def assemble(cls, settings: Settings) -> "Gateway":
        """Make the parts from the settings; nothing is started.

        Raises
        ------
        ConfigurationError, SpecError
            If a setting, a file of wps_config or a process.yaml is wrong.
        """
        metadata = Metadata.load(settings.config)
        limits = Limits.load(settings.config)
        if settings.running_jobs is not None:
            limits = limits.model_copy(update={"running_jobs": settings.running_jobs})
        storage = open_storage(settings.storage_url, endpoint=settings.s3_endpoint)
        specs = load_specs()
        check_styles(specs)
        store = JobStore(
            settings.database_url,
            keep_days=limits.keep_days,
            keep_tombstone_days=limits.keep_tombstone_days,
        )
        jobs = JobService(
            specs=ProcessCatalogue(specs, store.database),
            store=store,
            storage=storage,
            runner=make_runner(settings, storage, specs),
            publisher=make_publisher(settings, metadata),
            limits=limits,
            copies=LocalCopies(storage, settings.folder / "cache"),
            base_url=settings.base_url,
            uploads=uploads.make_uploads(settings, limits, storage),
            subscribers=AddressGuard(settings.callback_hosts),
        )
        dispatcher = Dispatcher(
            jobs,
            base_url=settings.progress_url,
            key=settings.signing_key,
            staging=staging_of(settings, limits),
            publish_timeout_s=settings.publish_timeout_s,
        )
        return cls(
            settings,
            metadata,
            jobs,
            dispatcher,
            Reconciler(jobs),
            CallbackSender(
                store, jobs.subscribers, ogcapi_news.news_of(jobs, Addresses(settings.base_url))
            ),
            PatchesApi(settings),
        )

    def _codecs(self, wps: problems.Writer) -> dict[str, problems.Writer]:
        """Who writes the problems of addresses that no route serves, by path."""
        path = self.settings.geoserver_path
        own: dict[str, problems.Writer] = {"/wps": wps, "/ows": ows.problem_response}
        return own | ({f"{path}/wps": wps, f"{path}/ows": wps} if path else {})

    def start(self) -> None:
        """Start the map server, the dispatcher and the reconciler."""
        self.jobs.publisher.start()
        self.dispatcher.start()
        self.reconciler.start()
        self.callbacks.start()
        logger.info("The gateway is ready at %s", self.settings.base_url)

    def stop(self) -> None:
        """Stop what was started; running jobs go on and are adopted at the next start."""
        self.callbacks.stop()
        self.reconciler.stop()
        self.dispatcher.stop()
        self.jobs.runner.close()
        self.jobs.publisher.stop()
        self.jobs.close()
        self.patches.close()

    def application(self) -> Flask:
        """Return the WSGI application."""
        app = Flask("candela.gateway")
        identity.identify(app, identity.TrustedProxy.of(self.settings))
        protect(app, Sites.of(self.settings))
        refuse_nul(app)
        waiting = Waiting(self.jobs, self.settings.sync_timeout_s, self.settings.grace_s)
        first = wps10.Wps10(self.jobs, self.metadata, self.settings, waiting)
        second = wps20.Wps20(self.jobs, self.metadata, self.settings, waiting)
        wps = versions.Versions(
            versions.Version(first, (wps10_xml.VERSION,), wps10_xml.WPS_NS),
            versions.Version(
                second, wps20_xml.VERSIONS, wps20_xml.WPS_NS, wps20_xml.OWN_OPERATIONS
            ),
        )
        app.register_blueprint(
            problems.blueprint(
                lambda problem: problem_page(problem, self.metadata), self._codecs(wps.report)
            )
        )
        addresses = Addresses(self.settings.base_url)
        pages = JobPages(self.jobs, self.metadata, addresses, self.settings.maps_url)
        api = OgcApi(self.jobs, self.metadata, addresses, pages, waiting)
        app.register_blueprint(ogcapi.blueprint(api))
        app.register_blueprint(stac.blueprint(ResultCatalogue(self.jobs, addresses), self.metadata))
        app.register_blueprint(versions.blueprint(wps))
        app.register_blueprint(wps10.blueprint(first, self.jobs))
        token = outputs.token_of_map_server(self.settings)
        app.register_blueprint(outputs.blueprint(self.jobs, map_server=token))
        if self.settings.manage_processes:
            registration = Registration.of(self.settings)
            app.register_blueprint(
                processes_admin.blueprint(self.jobs.specs, registration, self.settings.base_url)
            )
        if self.jobs.uploads:
            app.register_blueprint(uploads.blueprint(self.jobs.uploads))
        runner = self.jobs.runner
        metrics = Metrics(self.jobs.store)
        if self.settings.warm and isinstance(runner, warm_pods.Assigner):
            app.register_blueprint(warm_pods.blueprint(runner, self.settings.signing_key))
            metrics = Metrics(self.jobs.store, runner.warm_pods)
        private = self.settings.private_layers
        app.register_blueprint(pages_blueprint(self.jobs.publisher, self.metadata, private=private))
        if isinstance(self.jobs.publisher, MapServerPublisher):  # else the map server is elsewhere
            app.register_blueprint(ows.ows_blueprint(self.jobs.publisher, private=private))
        else:
            app.register_blueprint(ows.elsewhere_blueprint(self.settings.maps_url))
        if path := self.settings.geoserver_path:
            app.register_blueprint(
                geoserver_address.blueprint(wps, self.settings.geoserver_site, path)
            )
        app.extensions["patches"] = self.patches
        app.register_blueprint(search.blueprint(self.patches))
        app.register_blueprint(probes.blueprint(self.jobs))
        app.register_blueprint(progress.blueprint(self.jobs, self.settings.signing_key))
        app.register_blueprint(usage.blueprint(self.jobs))
        metrics.follow(app)
        ports.guard(
            app,
            has_internal_port=bool(self.settings.internal_bind),
            max_request_bytes=self.jobs.limits.max_request_bytes,
        )
        app.register_blueprint(metrics.blueprint())
        return app
