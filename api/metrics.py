"""What Prometheus collects from a process at /metrics."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final, TypeAlias

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
Labels: TypeAlias = tuple[str, ...]
ALL: Final[Labels] = ()
"""Of a metric without labels."""


class Tally(Collector):
    """A counter every request passes, as few read it: `counts` has a number for each combination of labels, made a metric
    when it is read. It belongs to the event loop's thread."""

    def __init__(self, name: str, told: str, labels: Sequence[str] = ()) -> None:
        self._family = name, told, labels
        self.counts: defaultdict[Labels, float] = defaultdict(float)
        if not labels:
            self.counts[ALL] = 0.0
        REGISTRY.register(self)

    def collect(self) -> Iterator[CounterMetricFamily]:
        name, told, labels = self._family
        family = CounterMetricFamily(name, told, labels=labels)
        for values, count in self.counts.items():
            family.add_metric(values, count)
        yield family


class Times(Collector):
    """As `Tally`, of how long something took."""

    def __init__(self, name: str, told: str, labels: Sequence[str] = ()) -> None:
        self._family = name, told, labels
        self._counts: defaultdict[Labels, list[int]] = defaultdict(_no_times)
        self._sums: defaultdict[Labels, float] = defaultdict(float)
        if not labels:
            self._counts[ALL] = _no_times()
        REGISTRY.register(self)

    def add(self, labels: Labels, seconds: float) -> None:
        self._counts[labels][bisect_left(SECONDS, seconds)] += 1
        self._sums[labels] += seconds

    def collect(self) -> Iterator[HistogramMetricFamily]:
        name, told, labels = self._family
        family = HistogramMetricFamily(name, told, labels=labels)
        bounds = [*(str(float(bound)) for bound in SECONDS), "+Inf"]
        for values, counts in self._counts.items():
            family.add_metric(values, list(zip(bounds, accumulate(counts), strict=True)), self._sums[values])
        yield family


def _no_times() -> list[int]:
    return [0] * (len(SECONDS) + 1)


class Running:
    """How many of something there are now."""

    def __init__(self, name: str, told: str) -> None:
        self.now = 0
        Gauge(name, told).set_function(lambda: self.now)

    def __enter__(self) -> None:
        self.now += 1

    def __exit__(self, *_: object) -> None:
        self.now -= 1


operations = Tally(
    "unison_operations_total",
    "GraphQL operations, by kind and outcome: queries and mutations (kind query, mutation) that had their turn, ok, error, or"
    " refused: their variables did not fit, or their time was up; and of any kind (unknown) those refused before they ran"
    " (rejected). Not here: those sent away (unison_operations_shed_total), and subscriptions that were let in",
    ["kind", "outcome"],
)
operation_seconds = Times("unison_operation_seconds", "Time to answer a GraphQL operation, by kind", ["kind"])
planned = Tally(
    "unison_queries_planned_total",
    "Queries by who answered them: one statement (planned), the loaders (left), or both (partly)",
    ["how"],
)
in_flight = Running("unison_operations_in_flight", "GraphQL operations being answered now")
waiting = Gauge("unison_operations_waiting", "GraphQL operations that wait for their turn")
turn_seconds = Times("unison_operation_wait_seconds", "Time operations have waited for their turn, if they had to")
shed = Tally(
    "unison_operations_shed_total",
    "Operations sent away because too much was to do, by reason (full: no room in line, long: the line is longer than can"
    " be served in time, own: the organization's own limits, busy: the process itself is behind, late: waited too long)",
    ["reason"],
)
spent = Tally("unison_operation_cost_total", "Price of the operations that were let in")
rate_limited = Counter(
    "unison_rate_limited_total", "Refused because the caller's bucket was empty, or that of false credentials"
)
false_credentials = Counter(
    "unison_false_credentials_total", "Tokens and API keys that proved false and might be guesses"
)
sockets = Gauge("unison_sockets", "Open WebSocket connections")
subscriptions = Gauge("unison_subscriptions", "Running subscriptions, over sockets and event streams")
groups = Gauge("unison_subscription_groups", "Groups of subscriptions that are told the same")
group_answers = Counter("unison_group_answers_total", "Answers made once for all members of a group")
pool_connections = Gauge("unison_pool_connections", "Database connections by state (in_use, idle)", ["state"])
hub_position = Gauge("unison_hub_position", "Position in the event log up to which the hub has dispatched")
hub_lag_seconds = Gauge("unison_hub_lag_seconds", "Age of the newest event when the hub dispatched it")
hub_waiting = Gauge("unison_hub_waiting_events", "Events that wait in the queues of all subscriptions")
hub_deepest = Gauge("unison_hub_deepest_queue", "Events that wait in the fullest queue of a subscription")
hub_coalesced = Counter("unison_hub_coalesced_events_total", "Events joined with a later one of the same object")
hub_dropped = Counter("unison_hub_dropped_events_total", "Events dropped because a subscription's queue was full")
hub_resyncs = Counter("unison_hub_resyncs_total", "Times a subscription was told to read everything again")
relayed = Counter("unison_relayed_events_total", "Events the relay of this process has given a position")
jobs = Counter(
    "unison_jobs_total",
    "Jobs run, by queue and outcome (succeeded, failed: tried again later, dead)",
    ["queue", "outcome"],
)
job_seconds = Histogram(
    "unison_job_seconds", "Time of a job that ran alone, by queue", ["queue"], buckets=(*SECONDS, 30, 60, 300, 900)
)
queue_messages = Gauge(
    "unison_queue_messages", "Messages by queue and state (waiting, later: held or delayed, dead)", ["queue", "state"]
)
queue_oldest_seconds = Gauge("unison_queue_oldest_seconds", "Age of the oldest waiting message, by queue", ["queue"])
webhook_attempts = Counter(
    "unison_webhook_attempts_total", "Requests to webhook receivers, by outcome (good, failed)", ["outcome"]
)
scheduled = Counter("unison_schedules_fired_total", "Schedules this process has put a job into a queue for")


def exposition() -> tuple[bytes, str]:
    """The body of /metrics and its content type."""
    return generate_latest(REGISTRY), CONTENT_TYPE_LATEST
