"""What ``/metrics`` shows, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)

FILES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Of one service; nothing is shared between two."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.requests = Counter(
            "optsg_requests", "Requests by address and status", ["path", "status"], registry=registry
        )
        self.seconds = Histogram(
            "optsg_request_seconds",
            "Seconds from the head of a request to its answer",
            ["path"],
            buckets=SECONDS,
            registry=registry,
        )
        self.files = Counter("optsg_files", "Files by run and outcome", ["run", "outcome"], registry=registry)
        self.under_way = Gauge("optsg_files_under_way", "Files that wait or are worked on", registry=registry)
        self.batches = Histogram("optsg_batch_files", "Files of a batch", ["run"], buckets=FILES, registry=registry)
        self.batch_seconds = Histogram(
            "optsg_batch_seconds",
            "Seconds of encoding and tagging a batch",
            ["run"],
            buckets=SECONDS,
            registry=registry,
        )
        self.received = Counter("optsg_received_bytes", "Bytes of uploads", registry=registry)

    def count_restarts(self, restarts: Callable[[], int]) -> None:
        """Shows how often decoding processes were replaced, as ``restarts`` tells it."""
        self.registry.register(_Restarts(restarts))

    def text(self) -> tuple[bytes, str]:
        """What is shown, and its media type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST


class _Restarts:
    def __init__(self, restarts: Callable[[], int]):
        self._restarts = restarts

    def collect(self) -> list[CounterMetricFamily]:
        """The count at present."""
        name, text = (
            "optsg_decoder_restarts",
            "Decoding processes that were replaced after a crash, a kill or a time limit",
        )
        return [CounterMetricFamily(name, text, value=self._restarts())]
