"""Metrics for Prometheus, at ``/metrics``.

What is counted in the job store is the same at every gateway (take the maximum over gateways, not
the sum); what is observed belongs to the gateway that did it (sum over gateways).
"""

import datetime as dt
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

from flask import Blueprint, Flask, Response, g, request
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from candela.errors import CandelaError
from candela.gateway.access.identity import require_operator
from candela.jobs.accounting import Consumption
from candela.jobs.model import Event, JobOutcome, State, now
from candela.jobs.store import JobStore

logger = logging.getLogger(__name__)

FAST = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)  # seconds
WarmPods = Callable[[], Mapping[tuple[str, str], int]]
SLOW = (0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200)


class Metrics:
    """The metrics of one gateway.

    Parameters
    ----------
    store : JobStore
        Is looked at when metrics are asked for, and tells of what this gateway moves.
    warm_pods : callable, optional
        Counts pods that wait for jobs, by process and state.
    """

    def __init__(self, store: JobStore, warm_pods: WarmPods = dict) -> None:
        self._store = store
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(_Tally(store, warm_pods))
        self._requests = self._histogram(
            "candela_http_request_seconds", "Time to answer", ("route", "method", "status"), FAST
        )
        self._accepting = self._histogram(
            "candela_accept_seconds", "From a checked request to its job on disk", (), FAST
        )
        self._states = self._histogram(
            "candela_job_state_seconds", "Time of ended jobs in a state", ("process", "state"), SLOW
        )
        self._starts = self._histogram(
            "candela_worker_start_seconds", "From a start to the worker's first line", (), SLOW
        )
        self._ended = self._counter(
            "candela_jobs_ended", "Jobs that ended", ("process", "state", "cause")
        )
        self._tried_again = self._counter(
            "candela_jobs_tried_again", "Attempts that the machine broke", ("process", "reason")
        )
        self._used = {
            name: self._counter(f"candela_job_{name}", text, ("process",))
            for name, text in (
                ("cpu_seconds", "CPU time of workers"),
                ("input_bytes", "What workers fetched"),
                ("output_bytes", "What workers stored"),
            )
        }
        store.moved = self.observe

    def observe(self, job: JobOutcome) -> None:
        """Take note of a job that was added or moved; never fails."""
        try:
            if job.state is State.ACCEPTED and job.attempt == 1:
                self._accepting.observe((now() - job.created).total_seconds())
            elif job.state is State.ACCEPTED:
                self._tried_again.labels(job.process, job.message.partition(";")[0]).inc()
            elif job.state.is_final:
                self._observe_end(job)
        except CandelaError as error:  # the database is away: a metric is not worth a job
            logger.warning("Job %s is not in the metrics: %s", job.id, error)

    def _observe_end(self, job: JobOutcome) -> None:
        cause = (job.error.kind if job.error else "") if job.state is State.FAILED else ""
        self._ended.labels(job.process, job.state, cause).inc()
        events = self._store.events(job.id)
        for state, seconds in durations(events):
            self._states.labels(job.process, state).observe(seconds)
        used = Consumption.of(job)
        self._used["cpu_seconds"].labels(job.process).inc(used.cpu_s)
        self._used["input_bytes"].labels(job.process).inc(used.input_bytes)
        self._used["output_bytes"].labels(job.process).inc(used.output_bytes)
        began = job.result.usage.started if job.result else None
        started = [event.time for event in events if event.state is State.DISPATCHING]
        if began is not None and started:
            self._starts.observe(max(0.0, began - started[-1].timestamp()))

    def follow(self, app: Flask) -> None:
        """Measure all requests of an application."""

        @app.before_request
        def begin() -> None:
            g.began = time.perf_counter()

        @app.after_request
        def end(response: Response) -> Response:
            if "began" in g:
                route = request.url_rule.rule if request.url_rule else "none"
                labels = (route, request.method, str(response.status_code))
                self._requests.labels(*labels).observe(time.perf_counter() - g.began)
            return response

    def blueprint(self) -> Blueprint:
        """Return the route."""
        routes = Blueprint("metrics", __name__)

        @routes.get("/metrics")
        def metrics() -> Response:
            require_operator()
            return Response(generate_latest(self.registry), content_type=CONTENT_TYPE_LATEST)

        return routes

    def _histogram(
        self, name: str, text: str, labels: tuple[str, ...], buckets: tuple[float, ...]
    ) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)

    def _counter(self, name: str, text: str, labels: tuple[str, ...]) -> Counter:
        return Counter(name, text, labels, registry=self.registry)


class _Tally(Collector):
    """Counts jobs in the store, and warm pods, at each look."""

    def __init__(self, store: JobStore, warm_pods: WarmPods) -> None:
        self._store = store
        self._warm_pods = warm_pods

    def collect(self) -> Iterator[Metric]:
        """Return how many jobs are in each state, and how long the first of the queue waits."""
        jobs = GaugeMetricFamily("candela_jobs", "Jobs in the store", labels=("process", "state"))
        for (process, state), count in self._store.tally().items():
            jobs.add_metric((process, state), count)
        yield jobs
        waiting = self._store.jobs(states=[State.ACCEPTED], limit=1, oldest_first=True)
        age_s = (now() - waiting[0].created).total_seconds() if waiting else 0.0
        yield GaugeMetricFamily(
            "candela_queue_age_seconds", "How long the oldest waiting job waits", value=age_s
        )
        warm = GaugeMetricFamily(
            "candela_warm_pods", "Pods that wait for a job", labels=("process", "state")
        )
        for labels, count in self._warm_pods().items():
            warm.add_metric(labels, count)
        yield warm

    def describe(self) -> Iterator[Metric]:
        """Return nothing, so that the store is not looked at before it is asked for."""
        return iter(())


def durations(events: list[Event]) -> Iterator[tuple[State, float]]:
    """Yield each state that a job was in and for how long, in seconds."""
    for event, following in pairwise(events):
        passed: dt.timedelta = following.time - event.time
        yield event.state, max(0.0, passed.total_seconds())
