"""`/healthz`: the process lives. `/readyz`: it can take messages. `/metrics`: how it fares."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from longcode import log
from longcode.bootstrap import Product
from longcode.errors import StorageDown
from longcode.web.carrier_metrics import CarrierMetrics

_logger = log.get("health")


class IntakeMetrics(Collector):
    """The intake's own counts, read when somebody asks."""

    def __init__(self, product: Product) -> None:
        self._intake = product.intake

    def collect(self) -> Iterable[Metric]:
        """Counters and gauges as they are now."""
        yield GaugeMetricFamily(
            "longcode_intake_waiting", "Calls that wait for their commit.", value=self._intake.waiting
        )
        counts = self._intake.counts
        yield CounterMetricFamily("longcode_intake_batches", "Batches that were settled.", value=counts.batches)
        calls = CounterMetricFamily("longcode_intake_calls", "Calls by how they ended.", labels=["end"])
        for end, value in (
            ("stored", counts.stored),
            ("replayed", counts.replayed),
            ("refused", counts.refused),
        ):
            calls.add_metric([end], value)
        yield calls


def health_routes(product: Product) -> list[Route]:
    """The three routes."""
    registry = CollectorRegistry()
    carriers = CarrierMetrics(product)
    registry.register(IntakeMetrics(product))
    registry.register(carriers)
    ProcessCollector(registry=registry)

    async def live(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(_request: Request) -> Response:
        faults = []
        for name, ask in (("database", product.catalog_store.version), ("expiring state", product.expiring.complete)):
            try:
                await ask()
            except StorageDown as error:
                # The reason names our servers, and anybody may ask.
                _logger.warning("not ready", fault=name, error=str(error))
                faults.append(name)
        if faults:
            return JSONResponse({"status": "unavailable", "faults": faults}, 503)
        return JSONResponse({"status": "ok"})

    async def metrics(_request: Request) -> Response:
        await carriers.refresh()
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    served = {"/healthz": live, "/readyz": ready, "/metrics": metrics}
    return [Route(path + slash, handler) for path, handler in served.items() for slash in ("", "/")]
