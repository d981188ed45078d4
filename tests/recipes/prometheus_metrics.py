"""Metrics of pulls for Prometheus, by OpenTelemetry.

Run it with ``python tests/recipes/prometheus_metrics.py``. It needs ``pip install 'aioburki[otel]'
opentelemetry-exporter-prometheus``. A service calls `prometheus_client.start_http_server(9464)`
once, and Prometheus reads ``/metrics`` there; this prints what it would read, of a sandbox that
answers some requests with 503 and 429.
"""

import asyncio

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import generate_latest

from aioburki import BurkiClient
from aioburki.sandbox import Sandbox
from aioburki.telemetry import OpenTelemetry


async def main() -> None:
    """Pull 1,000 contacts, and print the metrics."""
    telemetry = OpenTelemetry(meter_provider=MeterProvider([PrometheusMetricReader()]))
    sandbox = Sandbox(1_000, seed=3, faults={"503": 0.1, "429": 0.1})
    async with BurkiClient("any", transport=sandbox.transport, on_event=telemetry) as burki:
        await burki.contacts(42, per_page=100)
    for line in generate_latest().decode().splitlines():
        if line.startswith("aioburki_"):
            print(line)


asyncio.run(main())
