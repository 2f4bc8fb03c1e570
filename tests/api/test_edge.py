"""Around the requests: ids, headers, CORS, limits in time and number, health, and stopping."""

from __future__ import annotations

import asyncio
import socket

import httpx
import pytest

from api.drain import Drain
from api.patience import Patience
from db.session import Database
from tests.api.conftest import Live, serving
from tests.api.probe import Record
from tests.conftest import Urls
from tests.support import Tenant

GRAPHQL = {"accept": "application/graphql-response+json"}


def code(answer: httpx.Response) -> str:
    found: str = answer.json()["errors"][0]["extensions"]["code"]
    return found


async def test_a_sane_request_id_is_taken_over_and_another_is_not(live: Live) -> None:
    kept = await live.post("{ echo }", headers={"x-request-id": "erp-42.a_B"})
    assert kept.headers["x-request-id"] == "erp-42.a_B"
    for odd in ("", "a b", "x" * 65, "a\tb", "<script>", "'; drop table"):
        answer = await live.post("{ echo }", headers={"x-request-id": odd})
        assert len(answer.headers["x-request-id"]) == 32
    assert (await live.client.get("/nowhere")).headers["x-request-id"]


async def test_every_answer_carries_the_security_headers(live: Live) -> None:
    for path in ("/graphql?query={echo}", "/nowhere", "/healthz", "/"):
        headers = (await live.client.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert len(headers.get_list("content-security-policy")) == len(headers.get_list("cache-control")) == 1


async def test_media_types(live: Live) -> None:
    for accept, expected in (
        (None, "application/json"),
        ("*/*", "application/json"),
        ("application/graphql-response+json", "application/graphql-response+json"),
        ("application/json;q=0.5, application/graphql-response+json", "application/graphql-response+json"),
        ("application/graphql-response+json;q=0, application/json", "application/json"),
        ("image/png, */*;q=0.1", "application/json"),
    ):
        answer = await live.post("{ echo }", headers={"accept": accept} if accept else None)
        assert answer.headers["content-type"] == f"{expected}; charset=utf-8", accept


async def test_get_and_operation_names(live: Live) -> None:
    document = "query A { echo } query B($v: String) { b: echo(value: $v) }"
    params = {"query": document, "operationName": "B", "variables": '{"v": "é"}'}
    answer = await live.client.get("/graphql", params=params)
    assert answer.json()["data"] == {"b": "é"}
    assert (await live.post(document, operationName="A")).json()["data"] == {"echo": ""}


async def test_cors_is_off_unless_set(live: Live, urls: Urls, database: Database) -> None:
    origin = {"origin": "http://localhost:3000", "access-control-request-method": "POST"}
    assert "access-control-allow-origin" not in (await live.client.options("/graphql", headers=origin)).headers
    async with serving(urls, database, backend_cors_origins=["http://localhost:3000"]) as open_:
        asked = await open_.client.options(
            "/graphql", headers=origin | {"access-control-request-headers": "authorization, idempotency-key"}
        )
        assert asked.status_code == 200
        assert asked.headers["access-control-allow-origin"] == "http://localhost:3000"
        answer = await open_.post("{ echo }", headers={"origin": "http://localhost:3000"})
        assert answer.headers["access-control-expose-headers"] == "X-Request-Id, Retry-After"
        other = await open_.post("{ echo }", headers={"origin": "http://evil.example"})
        assert "access-control-allow-origin" not in other.headers


async def test_an_operation_has_its_time(urls: Urls, database: Database) -> None:
    async with serving(urls, database, operation_timeout_seconds=0.3) as live:
        Record.cancelled.clear()
        answer = await live.post("{ slow }")
        assert (answer.status_code, code(answer)) == (504, "OPERATION_TIMEOUT")
        assert answer.json()["errors"][0]["extensions"]["retryable"] is True
        assert Record.cancelled.is_set()
        assert (await live.post("{ slowStatement }")).status_code == 504
        assert (await live.post("{ echo }")).status_code == 200


async def test_a_statement_has_its_time(urls: Urls, database: Database) -> None:
    async with serving(urls, database, statement_timeout_ms=200) as live:
        assert code(await live.post("{ slowStatement }")) == "OPERATION_TIMEOUT"


async def test_a_client_that_leaves_cancels_its_work(live: Live) -> None:
    Record.cancelled.clear()
    with pytest.raises(httpx.ReadTimeout):
        await live.client.post("/graphql", json={"query": "{ slow }"}, timeout=0.3)
    async with asyncio.timeout(3):
        await Record.cancelled.wait()


async def test_signing_in_is_limited_by_address(urls: Urls, database: Database, tenant: Tenant) -> None:
    async with serving(urls, database, sign_ins_per_minute=3) as live:
        for _ in range(3):
            assert (await live.post("mutation { touch }")).status_code == 200
        answer = await live.post("mutation { touch }")
        assert (answer.status_code, code(answer)) == (429, "RATE_LIMITED")
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        token = await live.token(tenant)
        assert (await live.post("mutation { quiet }", token=token)).status_code == 200
        assert (await live.post("{ echo }")).status_code == 200
        elsewhere = {"x-forwarded-for": "203.0.113.9"}
        assert (await live.post("mutation { touch }", headers=elsewhere)).status_code == 429, "nobody vouches for it"
    async with serving(urls, database, sign_ins_per_minute=1, trusted_proxies=["127.0.0.0/8"]) as behind:
        for address in ("203.0.113.9", "203.0.113.10", "1.2.3.4, 203.0.113.11"):
            answer = await behind.post("mutation { touch }", headers={"x-forwarded-for": address})
            assert answer.status_code == 200
        spoofed = {"x-forwarded-for": "9.9.9.9, 203.0.113.9"}
        assert (await behind.post("mutation { touch }", headers=spoofed)).status_code == 429
        lines = [
            ("x-forwarded-for", "9.9.9.9"),
            ("x-forwarded-for", "203.0.113.9"),
            ("content-type", "application/json"),
        ]
        body = b'{"query": "mutation { touch }"}'
        answer = await behind.client.post("/graphql", content=body, headers=lines)
        assert answer.status_code == 429, "a line the client sent, and one of the proxy"


async def test_many_sign_ins_in_one_document_count_each(urls: Urls, database: Database) -> None:
    async with serving(urls, database, sign_ins_per_minute=6) as live:
        five = "mutation {" + " ".join(f"a{n}: touch" for n in range(5)) + "}"
        assert (await live.post(five)).status_code == 200
        assert (await live.post(five)).status_code == 429


async def test_the_idempotency_key_reaches_the_operation(live: Live, tenant: Tenant) -> None:
    answer = await live.post("{ key }", headers={"idempotency-key": '"k-1"'})
    assert answer.json()["data"] == {"key": "k-1"}
    assert (await live.post("{ key }")).json()["data"] == {"key": None}


async def test_suggestions_and_the_page_are_for_development(urls: Urls, database: Database, live: Live) -> None:
    html = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    page = await live.client.get("/graphql", headers=html)
    assert page.status_code == 200
    assert "GraphiQL" in page.text
    assert len(page.headers.get_list("content-security-policy")) == 1, "its own, not ours as well"
    for asset in {part.split('"')[0] for part in page.text.split('="/graphiql/')[1:]}:
        assert (await live.client.get(f"/graphiql/{asset}")).status_code == 200, asset
    assert (await live.client.get("/", follow_redirects=False)).headers["location"] == "/graphql"
    assert "Did you mean" in (await live.post("{ ecko }")).text
    given = {"unison_env": "production", "database_url": urls.admin}
    async with serving(urls, database, **given) as production:
        assert "Did you mean" not in (await production.post("{ ecko }")).text
        assert "Did you mean" not in (await production.post("query A($e: Strin) { echo(value: $e) }")).text
        assert "GraphiQL" not in (await production.client.get("/graphql", headers=html)).text
        assert (await production.client.get("/")).status_code == 404
        assert (await production.client.get("/healthz")).headers["strict-transport-security"]


async def test_health_readiness_and_metrics(live: Live) -> None:
    assert (await live.client.get("/healthz")).json() == {"status": "ok"}
    async with asyncio.timeout(5):
        while (ready := await live.client.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.05)
    assert ready.json()["checks"] == {"database": True, "migrations": True, "events": True, "running": True}
    await live.post("{ echo }")
    metrics = await live.client.get("/metrics")
    assert 'unison_operations_total{kind="query",outcome="ok"}' in metrics.text
    assert 'unison_pool_connections{state="idle"}' in metrics.text


async def test_not_ready_without_the_database(urls: Urls, database: Database) -> None:
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        gone = f"postgresql://unison_app:x@127.0.0.1:{nobody_listens.getsockname()[1]}/nothing"
        nowhere = Urls(urls.admin, gone, gone)
        async with serving(nowhere, database) as live:
            answer = await live.client.get("/readyz")
            assert answer.status_code == 503
            assert answer.json()["checks"]["database"] is False
            assert answer.json()["checks"]["events"] is False
            query = await live.post("{ badStatement }")
            assert (query.status_code, code(query)) == (503, "SERVICE_UNAVAILABLE")
            assert query.headers["retry-after"]
            assert (await live.client.get("/healthz")).status_code == 200


async def test_stopping_lets_requests_finish_and_refuses_new_ones(urls: Urls, database: Database) -> None:
    async with serving(urls, database, operation_timeout_seconds=1.0) as live:
        running = asyncio.create_task(live.post("{ slow }"))
        await asyncio.sleep(0.3)
        live.app.state.drain.begin()
        refused = await live.post("{ echo }")
        assert (refused.status_code, code(refused)) == (503, "SERVICE_UNAVAILABLE")
        assert refused.headers["retry-after"] == "5"
        assert (await live.client.get("/readyz")).status_code == 503
        assert (await live.client.get("/healthz")).status_code == 200
        assert code(await running) == "OPERATION_TIMEOUT", "it had its own end, not the server's"


async def test_a_known_document_is_not_read_again(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    document = '{ echo(value: "a document nobody else sends") }'
    assert (await live.post(document)).status_code == 200
    monkeypatch.setattr("api.documents.validate", lambda *_: pytest.fail("validated again"))
    assert (await live.post(document)).status_code == 200


async def test_a_body_that_breaks_off_or_crawls(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    port = live.client.base_url.port
    head = b"POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{"
    _, broken = await asyncio.open_connection("127.0.0.1", port)
    broken.write(head)
    await broken.drain()
    broken.close()
    await broken.wait_closed()
    monkeypatch.setattr(live.app.state.http, "_body", Patience(0.2))
    reader, crawling = await asyncio.open_connection("127.0.0.1", port)
    crawling.write(head)
    assert (await asyncio.wait_for(reader.readline(), 5)).startswith(b"HTTP/1.1 408")
    crawling.close()
    await crawling.wait_closed()
    assert (await live.post("{ echo }")).status_code == 200


async def test_of_a_repeated_header_the_first_counts(live: Live, tenant: Tenant) -> None:
    good, bad = f"Bearer {await live.token(tenant)}", "Bearer false"
    for sent, status in (([good, bad], 200), ([bad, good], 401)):
        headers = [("content-type", "application/json"), *(("authorization", one) for one in sent)]
        answer = await live.client.post("/graphql", content=b'{"query": "{ whoami }"}', headers=headers)
        assert answer.status_code == status


async def test_draining_ends_when_nothing_runs_any_more() -> None:
    drain = Drain()
    assert await drain.finished(0.01)
    with drain:
        assert not await drain.finished(0.01)
        waiting = asyncio.create_task(drain.finished(5))
        with drain:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.01)
        assert not waiting.done(), "one still runs"
    async with asyncio.timeout(1):
        assert await waiting
