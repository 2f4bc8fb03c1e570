"""Webhooks of the demo factory: an endpoint of the ERP middleware that was given up by its receiver."""

from __future__ import annotations

from datetime import timedelta

from db.demo import Demo

RECEIVER = "https://erp.example.com/unison"


async def make(demo: Demo) -> None:
    app = await demo.connection.fetchval(
        "select id from app.apps where organization_id = $1 and code = 'erp'", demo.org
    )
    if app is None:
        return
    gone = demo.now - timedelta(days=2)
    (key,) = await demo.insert("app.app_keys", [
        {
            "app_id": app, "name": "webhooks", "prefix": "unison_demo00", "scopes": ["production.read"], "plant_id": None,
            "created_at": gone - timedelta(days=30), "updated_at": gone - timedelta(days=30),
        }
    ])  # fmt: skip
    (endpoint,) = await demo.insert("app.webhook_endpoints", [
        {
            "app_id": app, "app_key_id": key, "url": RECEIVER, "description": "Order status for the ERP",
            "topics": ["WorkOrder"], "selections": {"WorkOrder": "{ number status }"}, "status": "paused",
            "paused_reason": "gone", "paused_at": gone, "version": 2, "created_at": gone - timedelta(days=30),
            "updated_at": gone,
        }
    ])  # fmt: skip
    await demo.insert("app.webhook_progress", [
        {"id": endpoint, "pos": 0, "failures": 1, "dead": 0, "failing_since": gone, "created_at": gone}
    ])  # fmt: skip
    (delivery,) = await demo.insert("app.webhook_deliveries", [
        {
            "endpoint_id": endpoint, "message_id": f"ping_{endpoint:032x}", "kind": "ping", "pos": 0,
            "key": f"webhook:{endpoint}:demo", "event": {}, "status": "dead", "attempt_count": 1, "response_status": 410,
            "last_error": "The receiver answered 410", "finished_at": gone, "created_at": gone,
        }
    ])  # fmt: skip
    await demo.insert("app.webhook_attempts", [
        {
            "delivery_id": delivery, "number": 1, "response_status": 410, "response_body": "", "duration_ms": 87,
            "error": "The receiver answered 410", "created_at": gone,
        }
    ])  # fmt: skip
