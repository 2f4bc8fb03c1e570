"""OpenTelemetry spans, sent where OTEL_EXPORTER_OTLP_ENDPOINT says; without it a span costs next to nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from opentelemetry import trace

from api.settings import Settings

tracer = trace.get_tracer("unison")
_enabled = False
_NOTHING: AbstractContextManager[Any] = nullcontext()


def span(name: str, attributes: dict[str, str]) -> AbstractContextManager[Any]:
    return tracer.start_as_current_span(name, attributes=attributes) if _enabled else _NOTHING


def configure(settings: Settings, *, process: str = "api") -> Callable[[], None]:
    """Begin to send spans if a receiver is set; what is returned sends the rest when the process ends."""
    global _enabled
    if settings.otel_exporter_otlp_endpoint is None:
        return lambda: None
    # These cost a tenth of a second to import and most processes never trace.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource({SERVICE_NAME: f"unison-{process}"}))
    endpoint = f"{settings.otel_exporter_otlp_endpoint.rstrip('/')}/v1/traces"
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    trace.set_tracer_provider(provider)
    _enabled = True
    return provider.shutdown
