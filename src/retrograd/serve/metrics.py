"""Counts of everything, as Prometheus reads them; plain numbers while requests are answered."""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from retrograd.serve.cells import ODDITIES
from retrograd.serve.shelf import Shelf

_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """What has happened since the start.

    requests: by route and status.  at_once: requests being answered now.  connections: open now.
    """

    def __init__(self) -> None:
        """Begin at nothing."""
        self.requests: Counter[tuple[str, int]] = Counter()
        self.at_once = self.connections = self.shed = self.refused_connections = 0
        self._buckets = [0] * (len(_SECONDS) + 1)
        self._total = 0.0

    def count(self, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        self.requests[route, status] += 1
        self._buckets[bisect.bisect_left(_SECONDS, seconds)] += 1
        self._total += seconds

    def text(self, shelf: Shelf) -> bytes:
        """Return all counts in Prometheus's text format."""
        registry = CollectorRegistry()
        registry.register(_Collector(self, shelf))
        return generate_latest(registry)


class _Collector:
    """Makes Prometheus's families of the counts, at the moment they are asked for."""

    def __init__(self, metrics: Metrics, shelf: Shelf) -> None:
        self._metrics, self._shelf = metrics, shelf

    def collect(self) -> Iterator[Any]:
        yield from self._of_requests()
        yield from self._of_models()
        yield from self._of_cells()

    def _of_requests(self) -> Iterator[Any]:
        counts = self._metrics
        words = "Requests answered, by route and status."
        requests = CounterMetricFamily("retrograd_requests", words, labels=["route", "status"])
        for (route, status), number in sorted(counts.requests.items()):
            requests.add_metric([route, str(status)], number)
        yield requests
        words = "Requests told to come back later, since too many were being answered."
        yield CounterMetricFamily("retrograd_requests_shed", words, counts.shed)
        words = "Connections closed at once, since too many were open."
        yield CounterMetricFamily(
            "retrograd_connections_refused", words, counts.refused_connections
        )
        yield GaugeMetricFamily(
            "retrograd_requests_at_once", "Requests being answered now.", counts.at_once
        )
        yield GaugeMetricFamily("retrograd_connections", "Connections now.", counts.connections)
        sums, total = [], 0
        for limit, number in zip((*map(str, _SECONDS), "+Inf"), counts._buckets, strict=True):
            total += number
            sums.append((limit, total))
        words = "Seconds from the head of a request to its answer."
        yield HistogramMetricFamily("retrograd_request_seconds", words, sums, counts._total)

    def _of_models(self) -> Iterator[Any]:
        labels = ["model", "version"]
        rows = CounterMetricFamily("retrograd_rows", "Rows predicted.", labels=labels)
        batches = CounterMetricFamily(
            "retrograd_predictions",
            "Calls of the network, each for one or more rows.",
            labels=labels,
        )
        loaded = GaugeMetricFamily(
            "retrograd_model_loaded_seconds", "When it was loaded, since 1970.", labels=labels
        )
        for each in self._shelf:
            names = [each.served.name, each.served.version]
            rows.add_metric(names, each.rows)
            batches.add_metric(names, each.batches)
            loaded.add_metric(names, each.served.loaded)
        yield from (rows, batches, loaded)
        words = "Changed model files that were loaded."
        yield CounterMetricFamily("retrograd_model_reloads", words, self._shelf.reloads)
        words = "Changed model files that could not be loaded; the old model stayed."
        yield CounterMetricFamily("retrograd_model_reload_failures", words, self._shelf.failures)

    def _of_cells(self) -> Iterator[Any]:
        cells = CounterMetricFamily(
            "retrograd_drift_cells",
            "Cells that were missing, not seen in training, or outside the training range.",
            labels=["model", "version", "column", "kind"],
        )
        for each in self._shelf:
            served = each.served
            for column, tally in served.encoder.drift.items():
                for kind, number in zip(ODDITIES[1:], tally[1:], strict=True):
                    cells.add_metric([served.name, served.version, column, kind], number)
        yield cells
