"""Files as a client meets them, over a real S3 server: what is verified, what is refused, what nobody else reaches."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import urllib3

from api.embedded_s3 import EmbeddedS3
from db.actor import ANONYMOUS
from db.session import Database
from modules.platform.files import service
from modules.platform.files import storage as module
from modules.platform.public import S3, FileStorage
from schema.build import build
from schema.faults import Fault
from schema.ids import decode, encode
from tests.modules.platform.files.conftest import BUCKET, where
from tests.modules.platform.files.desk import DELETE, FILE, PNG, announce, complete, fetch, send, uploaded
from tests.support import House, Tenant


async def row(admin: asyncpg.Connection, id: str) -> Any:
    return await admin.fetchrow("select * from app.files where id = $1", decode(id)[1])


async def test_a_file_goes_up_and_comes_down(filed: House, tenant: Tenant, admin: asyncpg.Connection, bucket: Path):
    body = PNG * 200  # more than one piece
    made = await announce(filed, tenant.actor("operator"), body)
    assert made["errors"] == []
    assert (made["file"]["status"], made["file"]["download"]) == ("PENDING", None)
    assert await send(made["upload"], body) == 200
    announced = (await row(admin, made["file"]["id"]))["key"]
    done = await complete(filed, tenant.actor("operator"), made["file"]["id"])
    assert done["errors"] == []
    assert done["file"]["status"] == "READY"
    assert done["file"]["uploadedByUser"] == {"username": "operator"}
    got = await fetch(done["file"]["download"]["url"])
    assert hashlib.sha256(got.content).hexdigest() == made["file"]["sha256"]
    assert got.headers["content-type"] == "image/png"
    assert got.headers["content-disposition"].startswith("attachment; ")
    assert "Ri%C3%9F" in got.headers["content-disposition"]
    kept = (await row(admin, made["file"]["id"]))["key"]
    assert kept != announced
    assert kept.startswith(f"{tenant.organization_id}/")
    assert not (bucket / announced).exists(), "the upload's own object is of no use any more"
    again = await complete(filed, tenant.actor("operator"), made["file"]["id"])
    assert (again["errors"], again["file"]["version"]) == ([], done["file"]["version"])


async def test_what_was_verified_cannot_be_exchanged(filed: House, tenant: Tenant):
    made = await announce(filed, tenant.actor())
    await send(made["upload"], PNG)
    file = (await complete(filed, tenant.actor(), made["file"]["id"]))["file"]
    assert await send(made["upload"], b"something else") == 200, "the link is still good"
    assert (await fetch(file["download"]["url"])).content == PNG


async def test_another_size_or_content_is_refused_and_may_be_mended(filed: House, tenant: Tenant):
    actor = tenant.actor()
    made = await announce(filed, actor)
    id = made["file"]["id"]
    missing = await complete(filed, actor, id)
    assert [(e["code"], e["retryable"]) for e in missing["errors"]] == [("UPLOAD_MISSING", True)]
    for wrong, path in ((PNG + b"x", "size"), (PNG[:-1], "size"), (PNG[:-1] + b"x", "sha256")):
        await send(made["upload"], wrong)
        (error,) = (await complete(filed, actor, id))["errors"]
        assert (error["code"], error["path"]) == ("UPLOAD_DIFFERS", [path])
    assert error["found"] == hashlib.sha256(PNG[:-1] + b"x").hexdigest()
    await send(made["upload"], PNG)
    assert (await complete(filed, actor, id))["file"]["status"] == "READY"


async def test_another_type_ends_in_quarantine(filed: House, tenant: Tenant):
    actor, body = tenant.actor(), b"\x7fELF" + bytes(100)
    made = await announce(filed, actor, body)
    await send(made["upload"], body)
    (error,) = (await complete(filed, actor, made["file"]["id"]))["errors"]
    assert error["code"] == "FILE_TYPE_MISMATCH"
    found = (await filed.data(actor, FILE, {"id": made["file"]["id"]}))["file"]
    assert (found["status"], found["download"]) == ("QUARANTINED", None)
    (error,) = (await complete(filed, actor, made["file"]["id"]))["errors"]
    assert error["code"] == "INVALID_TRANSITION"


async def test_what_may_not_be_announced(filed: House, tenant: Tenant):
    for wrong, path in (
        ({"size": "0"}, "size"), ({"size": str(101 * 1_048_576)}, "size"), ({"sha256": "abc"}, "sha256"),
        ({"contentType": "text/html"}, "contentType"), ({"filename": "../../etc/passwd"}, "filename"),
    ):  # fmt: skip
        made = await announce(filed, tenant.actor(), **wrong)
        assert [(e["code"], e["path"]) for e in made["errors"]] == [("VALIDATION_FAILED", [path])]
        assert made["upload"] is None


async def test_an_organization_sets_its_limits(filed: House, tenant: Tenant):
    document = """mutation($key: String!, $value: SettingValueInput!) {
      settingSet(input: {key: $key, value: $value, expectedVersion: 0}) { errors { code } } }"""
    for key, value in (
        ("files.max_megabytes", {"integer": 1}), ("files.content_types", {"text": "application/pdf, image/png"}),
    ):  # fmt: skip
        assert (await filed.data(tenant.actor(), document, {"key": key, "value": value}))["settingSet"]["errors"] == []
    refused = await filed.data(tenant.actor(), document, {"key": "files.content_types", "value": {"text": "a/b"}})
    assert refused["settingSet"]["errors"] == [{"code": "VALIDATION_FAILED"}]
    assert (await announce(filed, tenant.actor(), size="1048577"))["errors"][0]["path"] == ["size"]
    assert (await announce(filed, tenant.actor(), contentType="image/gif"))["errors"][0]["path"] == ["contentType"]
    assert (await announce(filed, tenant.actor()))["errors"] == []


async def test_what_is_late_is_refused(filed: House, tenant: Tenant, admin: asyncpg.Connection):
    made = await announce(filed, tenant.actor())
    await send(made["upload"], PNG)
    await admin.execute("update app.files set expires_at = now() where id = $1", decode(made["file"]["id"])[1])
    (error,) = (await complete(filed, tenant.actor(), made["file"]["id"]))["errors"]
    assert error["code"] == "UPLOAD_EXPIRED"


async def test_links_expire_and_cannot_be_altered(filed: House, tenant: Tenant, admin: asyncpg.Connection):
    file = await uploaded(filed, tenant.actor())
    key = (await row(admin, file["id"]))["key"]
    late = filed.storage.download_url(key, timedelta(seconds=1), filename="a", content_type="image/png")
    await asyncio.sleep(2.1)
    assert (await fetch(late)).status_code in (400, 403)
    good = file["download"]["url"]
    assert (await fetch(good.replace("X-Amz-Expires=300", "X-Amz-Expires=3000"))).status_code == 403
    assert (await fetch(good.split("?")[0])).status_code in (400, 403), "nobody reads without a signature"


async def test_nobody_signed_in_gets_nothing(filed: House, tenant: Tenant):
    file = await uploaded(filed, tenant.actor())
    assert await filed.code(ANONYMOUS, FILE, {"id": file["id"]}) == "UNAUTHENTICATED"
    assert await filed.code(tenant.actor("viewer"), DELETE, {"id": file["id"], "version": 1}) == "FORBIDDEN"
    read = tenant.actor("viewer", only={"files.read"})
    assert await filed.code(read, 'mutation { uploadComplete(input: {id: "x"}) { errors { code } } }') == "FORBIDDEN"


async def test_another_organizations_file_does_not_exist(
    filed: House, tenant: Tenant, stranger: Tenant, admin: asyncpg.Connection
):
    file = await uploaded(filed, tenant.actor())
    assert (await filed.data(stranger.actor(), FILE, {"id": file["id"]}))["file"] is None
    (error,) = (await complete(filed, stranger.actor(), file["id"]))["errors"]
    assert error["code"] == "NOT_FOUND"
    gone = await filed.data(stranger.actor(), DELETE, {"id": file["id"], "version": file["version"]})
    assert gone["fileDelete"]["errors"] == [{"code": "NOT_FOUND"}]
    key = (await row(admin, file["id"]))["key"]
    with pytest.raises(asyncpg.CheckViolationError):  # a row cannot claim another tenant's object, whoever writes it
        await admin.execute(
            "insert into app.files (organization_id, key, filename, content_type, size, sha256, status, status_at)"
            " values ($1, $2, 'x', 'image/png', 1, repeat('0', 64), 'ready', now())",
            stranger.organization_id, key,
        )  # fmt: skip


async def test_a_file_of_a_plant_stays_there(filed: House, tenant: Tenant):
    here, there = tenant.plants
    file = await uploaded(filed, tenant.actor(), plantId=encode("Plant", here))
    elsewhere = tenant.actor(plants=[there])
    assert (await filed.data(elsewhere, FILE, {"id": file["id"]}))["file"] is None
    assert (await complete(filed, elsewhere, file["id"]))["errors"][0]["code"] == "NOT_FOUND"
    assert (await announce(filed, elsewhere, plantId=encode("Plant", here)))["errors"][0]["code"] in (
        "NOT_FOUND",
        "FORBIDDEN",
    )
    assert (await announce(filed, elsewhere))["errors"][0]["code"] == "FORBIDDEN", "all plants would see it"
    assert (await announce(filed, elsewhere, plantId=encode("Plant", there)))["errors"] == []
    shared = await uploaded(filed, tenant.actor())
    assert (await filed.data(elsewhere, FILE, {"id": shared["id"]}))["file"]["status"] == "READY"
    refused = await filed.data(elsewhere, DELETE, {"id": shared["id"], "version": shared["version"]})
    assert refused["fileDelete"]["errors"] == [{"code": "FORBIDDEN"}]


async def test_a_deleted_file_is_gone(filed: House, tenant: Tenant, admin: asyncpg.Connection, bucket: Path):
    file = await uploaded(filed, tenant.actor())
    key = (await row(admin, file["id"]))["key"]
    assert (bucket / key).exists()
    done = (await filed.data(tenant.actor(), DELETE, {"id": file["id"], "version": file["version"]}))["fileDelete"]
    assert done == {"file": {"status": "DELETED", "download": None}, "errors": []}
    assert not (bucket / key).exists()
    assert (await fetch(file["download"]["url"])).status_code == 404, "links given out before lead nowhere"


async def test_confirmed_twice_at_once_is_confirmed_once(
    filed: House, tenant: Tenant, admin: asyncpg.Connection, bucket: Path
):
    made = await announce(filed, tenant.actor())
    await send(made["upload"], PNG)
    answers = await asyncio.gather(*(complete(filed, tenant.actor(), made["file"]["id"]) for _ in range(5)))
    ready = [a for a in answers if not a["errors"]]
    assert ready
    assert {e["code"] for a in answers for e in a["errors"]} <= {"UPLOAD_MISSING"}  # it was moved meanwhile
    assert (await row(admin, made["file"]["id"]))["version"] == 2
    left = [p.name for p in (bucket / str(tenant.organization_id)).iterdir()]
    assert left == [(await row(admin, made["file"]["id"]))["key"].split("/")[1]]


async def test_no_transaction_is_open_while_an_object_is_read(
    filed: House, tenant: Tenant, database: Database, monkeypatch: pytest.MonkeyPatch
):
    made = await announce(filed, tenant.actor())
    await send(made["upload"], PNG)
    in_use: list[int] = []
    inspect = service.inspect

    async def watched(*given: Any) -> Any:
        in_use.append(database.connections.taken)
        return await inspect(*given)

    monkeypatch.setattr(service, "inspect", watched)
    assert (await complete(filed, tenant.actor(), made["file"]["id"]))["errors"] == []
    assert in_use == [0]


@pytest.fixture
async def failing(database: Database, tmp_path: Path):
    """A house whose object storage can be stopped."""
    server = EmbeddedS3(tmp_path / "objects", BUCKET)
    server.start()
    house = House(build(), database)
    house.storage = FileStorage(where(server))
    yield house, server
    house.storage.close()
    server.stop()


async def test_without_storage_nothing_is_half_written(
    failing: tuple[House, EmbeddedS3], tenant: Tenant, admin: asyncpg.Connection
):
    house, server = failing
    actor = tenant.actor()
    made = await announce(house, actor)
    await send(made["upload"], PNG)
    file = await uploaded(house, actor)
    server.stop()
    id = made["file"]["id"]
    before = await row(admin, id)
    document = "mutation($id: ID!) { uploadComplete(input: {id: $id}) { file { id } errors { code } } }"
    result = await house.ask(actor, document, {"id": id})
    assert result.errors
    fault: Any = result.errors[0].original_error
    assert (fault.code, fault.retryable) == ("SERVICE_UNAVAILABLE", True)
    assert await row(admin, id) == before
    assert (await announce(house, actor))["errors"] == [], "to announce a file nobody has to be asked"
    gone = (await house.data(actor, DELETE, {"id": file["id"], "version": file["version"]}))["fileDelete"]
    assert gone["file"]["status"] == "DELETED", "its bytes go when the storage is back"
    server.start()
    assert (await complete(house, actor, id))["file"]["status"] == "READY"


async def test_wrong_keys_are_an_outage_not_an_absence(filed: House, objects: EmbeddedS3):
    storage = FileStorage(S3(objects.endpoint, objects.access_key, "0" * 40, BUCKET))
    try:
        for ask in (storage.reachable(), storage.size("1/x"), storage.read("1/x", print, most=1)):
            with pytest.raises(Fault, match="Object storage"):
                await ask
    finally:
        storage.close()


async def test_a_silent_storage_is_an_outage(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "TIMEOUT", urllib3.Timeout(connect=0.3, read=0.3))
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        storage = FileStorage(S3(f"127.0.0.1:{deaf.getsockname()[1]}", "access", "secret123", BUCKET))
        try:
            with pytest.raises(Fault):
                await storage.size("1/x")
        finally:
            storage.close()


async def test_the_storages_errors_are_told_apart_from_absence(storage: FileStorage):
    assert await storage.size("1/" + "0" * 32) is None
    assert await storage.read("1/" + "0" * 32, print, most=1) is False
    assert await storage.copy("1/" + "0" * 32, "1/" + "1" * 32) is False
    await storage.remove("1/" + "0" * 32)
    assert await storage.reachable()
