"""Prometheus metrics at /metrics: the sweeps in the database, and this process."""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sweeper.dashboard.cache import Cache
from sweeper.errors import StorageError
from sweeper.store import StorageCounts

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PATIENCE = 3.0
"""Seconds that a scrape waits for the database; Prometheus itself gives up after ten."""
MetricFamily = GaugeMetricFamily | CounterMetricFamily
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The figures of one application, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.reaped = Counter(
            "sweeper_slots_reaped_total",
            "Slots that this process took from workers whose lease was over.",
            registry=self._registry,
        )
        self.retries = Counter(
            "sweeper_database_retries_total",
            "Database actions that this process tried again.",
            registry=self._registry,
        )
        self.requests = Histogram(
            "sweeper_http_request_seconds",
            "Time from a request to the end of its answer, by kind of route and status.",
            ["route", "status"],
            buckets=_BUCKETS,
            registry=self._registry,
        )

    def middleware(
        self, app: "WSGIApplication", count: Callable[[], StorageCounts]
    ) -> "WSGIApplication":
        """Return an application that answers /metrics, and leaves the rest to `app`.

        `count` reads the database, and raises StorageError if it is away or of another schema.
        """
        self._registry.register(_SweepCollector(count))
        page: WSGIApplication = make_wsgi_app(self._registry)

        def application(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
            if environ.get("PATH_INFO", "") != "/metrics":
                return app(environ, start)
            if environ["REQUEST_METHOD"] != "HEAD":
                return page(environ, start)
            page({**environ, "REQUEST_METHOD": "GET"}, start)
            return []

        return application


class _SweepCollector(Collector):
    """Counts of the database, read at each scrape; scrapes of the same moment share a look."""

    def __init__(self, count: Callable[[], StorageCounts]) -> None:
        self._count = count
        self._counts: Cache[str, StorageCounts] = Cache()

    def describe(self) -> Iterable[Metric]:
        """Name the families without a look at the database."""
        return [*_up(None), *_families()]

    def collect(self) -> Iterator[Metric]:
        """Read the database, within the patience; without one there is `sweeper_up 0` alone."""
        try:
            counts = self._counts.join("counts", self._count, limit=PATIENCE)
        except (StorageError, TimeoutError):
            yield from _up(None)
            return
        yield from _up(counts)
        yield from _filled(counts)


def _up(counts: StorageCounts | None) -> Iterator[Metric]:
    up = "Whether the database answers and its tables are of this program's schema."
    yield GaugeMetricFamily("sweeper_up", up, value=0.0 if counts is None else 1.0)


def _families() -> list[MetricFamily]:
    """Return the families of the database, empty, in the order in which `_filled` fills them."""
    return [
        GaugeMetricFamily(
            "sweeper_database_latency_seconds", "Time in which the database told its own time."
        ),
        GaugeMetricFamily(
            "sweeper_trials",
            "Trials by state: recorded, claimed or open.",
            labels=["sweep", "arm", "state"],
        ),
        GaugeMetricFamily(
            "sweeper_networks",
            "Networks on record by state: complete, diverged or collapsed.",
            labels=["sweep", "arm", "state"],
        ),
        GaugeMetricFamily(
            "sweeper_budget_trials", "Trials that an arm may have.", labels=["sweep", "arm"]
        ),
        GaugeMetricFamily(
            "sweeper_budget_left_trials",
            "Trials of the budget that are not on record yet.",
            labels=["sweep", "arm"],
        ),
        CounterMetricFamily(
            "sweeper_attempts_lost",
            "Attempts that came to nothing, by class.",
            labels=["sweep", "arm", "class"],
        ),
        GaugeMetricFamily(
            "sweeper_workers", "Workers whose lease holds.", labels=["sweep", "device"]
        ),
        GaugeMetricFamily(
            "sweeper_trials_per_hour",
            "Trials recorded within the last hour of the database's clock.",
            labels=["sweep"],
        ),
    ]


def _filled(counts: StorageCounts) -> list[MetricFamily]:
    families = _families()
    latency, trials, networks, budget, left, lost, workers, per_hour = families
    latency.add_metric([], counts.latency_seconds)
    for name, sweep in counts.sweeps.items():
        per_hour.add_metric([name], sweep.last_hour)
        for device, alive in sweep.workers.items():
            workers.add_metric([name, device], alive)
        for name_of_arm, arm in sweep.arms.items():
            labels = [name, name_of_arm]
            slots = {"recorded": arm.recorded, "claimed": arm.claimed, "open": arm.open}
            for state, number in slots.items():
                trials.add_metric([*labels, state], number)
            states = dict.fromkeys(("complete", "diverged", "collapsed"), 0) | dict(arm.networks)
            for state, number in states.items():
                networks.add_metric([*labels, state], number)
            budget.add_metric(labels, arm.budget)
            left.add_metric(labels, arm.left)
            for kind, number in arm.lost.items():
                lost.add_metric([*labels, kind], number)
    return families


SERVER_ROUTES = (
    ("GET", "/healthz"),
    ("GET", "/metrics"),
    ("GET", "/login"),
    ("POST", "/login"),
    ("POST", "/logout"),
)
"""Method and path of every route that neither of the two dashboards answers.

A test tries all of them without the right token, and those that their routers know: a new one that
no router knows belongs here.
"""

OTHER = "other"
_EXACT = frozenset({"/", "/healthz", "/metrics", "/login", "/logout"})
_PREFIXES = ("/api/studies", "/api", "/artifacts", "/csv", "/dashboard", "/static", "/sweeps")
ROUTE_CLASSES = frozenset({*_EXACT, *(f"{prefix}/*" for prefix in _PREFIXES), OTHER})


def route_class(path: str) -> str:
    """Return the class of any path, one of ROUTE_CLASSES: the label of its metrics.

    >>> [route_class(path) for path in ("/api/studies/12", "/dashboard", "/sweeps/a/", "/x")]
    ['/api/studies/*', '/dashboard/*', '/sweeps/*', 'other']
    """
    if path in _EXACT:
        return path
    for prefix in _PREFIXES:
        if path == prefix or path.startswith(f"{prefix}/"):
            return f"{prefix}/*"
    return OTHER
