"""One operation and its answer."""

from datetime import UTC, datetime, timedelta

from modules.identity.public import tables as identity
from schema.ids import encode
from tests.support import House, Statements, Tenant

ERRORS = "errors { code path }"
ENTRIES = """query($where: AuditEntryWhere, $first: Int, $after: String) { auditEntries(where: $where, first: $first, after: $after) {
  nodes { entityType entityId action changedFields before after actorUser { username } requestId } pageInfo { hasNextPage endCursor } } }"""


async def rename(house: House, tenant: Tenant, plant: int, name: str) -> None:
    async with house.database.write(tenant.actor("admin")) as tx:
        (await tx.locked(identity.Plant, plant)).name = name


async def test_who_changed_a_plant_from_what_to_what(house: House, tenant: Tenant):
    plant = tenant.plants[0]
    await rename(house, tenant, plant, "Renamed")
    id = encode("Plant", plant)
    nodes = (await house.data(tenant.actor(), ENTRIES, {"where": {"entity": {"eq": id}}}))["auditEntries"]["nodes"]
    assert next((n["action"], n["changedFields"], n["actorUser"]) for n in nodes) == (
        "UPDATE",
        ["name"],
        {"username": "admin"},
    )
    assert [n["action"] for n in nodes] == ["UPDATE", "INSERT"]
    assert (nodes[0]["before"]["name"], nodes[0]["after"]["name"], nodes[1]["before"]) == ("Plant 1", "Renamed", None)
    assert {n["entityId"] for n in nodes} == {id}
    assert nodes[0]["requestId"].startswith("test-")


async def test_filters_of_the_trail(house: House, tenant: Tenant):
    await rename(house, tenant, tenant.plants[1], "Renamed")

    async def types(where: object) -> set[tuple[str, str]]:
        found = (await house.data(tenant.actor(), ENTRIES, {"where": where, "first": 200}))["auditEntries"]["nodes"]
        return {(n["entityType"], n["action"]) for n in found}

    boss = encode("User", tenant.users["admin"])
    assert await types({"actorUser": {"eq": boss}}) == {("Plant", "UPDATE")}
    assert await types({"entityType": {"in": ["Role", "Plant"]}, "action": {"eq": "INSERT"}}) == {
        ("Role", "INSERT"),
        ("Plant", "INSERT"),
    }
    both = [encode("Plant", tenant.plants[1]), encode("User", tenant.users["viewer"])]
    assert await types({"entity": {"in": both}}) == {("Plant", "INSERT"), ("Plant", "UPDATE"), ("User", "INSERT")}
    assert await types({"or": [{"entity": {"in": both * 500}}] * 20}) == await types({"entity": {"in": both}})
    assert await types({"entity": {"in": []}}) == set()
    assert await types({"not": {"entityType": {"startsWith": ""}}}) == set()
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert await types({"occurredAt": {"gte": later}}) == set()
    assert await house.code(tenant.actor(), ENTRIES, {"where": {"entity": {"eq": "nonsense"}}}) == "BAD_USER_INPUT"


async def test_pages_of_the_trail_join(house: House, tenant: Tenant, admin):
    seen, after = 0, None
    while True:
        found = (await house.data(tenant.actor(), ENTRIES, {"first": 7, "after": after}))["auditEntries"]
        seen, after = seen + len(found["nodes"]), found["pageInfo"]["endCursor"]
        if not found["pageInfo"]["hasNextPage"]:
            break
    count = "select count(*) from app.audit_logs where organization_id = $1"
    assert seen == await admin.fetchval(count, tenant.organization_id)


async def test_the_trail_is_for_who_may_see_it_and_of_the_own_plants(house: House, tenant: Tenant, stranger: Tenant):
    assert await house.code(tenant.actor("viewer"), ENTRIES) == "FORBIDDEN"
    await rename(house, tenant, tenant.plants[0], "Renamed")
    departments = {"where": {"entityType": {"eq": "Department"}}}
    found = (await house.data(tenant.actor(plants=tenant.plants[:1]), ENTRIES, departments))["auditEntries"]["nodes"]
    assert [n["entityId"] for n in found] == [encode("Department", tenant.departments[0])]
    theirs = {"where": {"entity": {"eq": encode("Plant", tenant.plants[0])}}}
    assert (await house.data(stranger.actor(), ENTRIES, theirs))["auditEntries"]["nodes"] == []


async def test_entries_with_their_actors_cost_two_statements(house: House, tenant: Tenant):
    for n in range(3):
        await rename(house, tenant, tenant.plants[0], f"Name {n}")
    with Statements(house.database) as statements:
        await house.data(tenant.actor(), "{ auditEntries { nodes { action actorUser { fullName } } } }")
    assert len(statements.selects) == 2, statements.selects


async def test_a_record_as_of(house: House, tenant: Tenant, stranger: Tenant, admin):
    document = "query($id: ID!, $at: DateTime!) { recordAsOf(id: $id, at: $at) { values entry { action } } }"
    before = await admin.fetchval("select clock_timestamp()")
    await rename(house, tenant, tenant.plants[0], "Renamed")
    id = encode("Plant", tenant.plants[0])
    now = (datetime.now(UTC) + timedelta(seconds=5)).isoformat()
    was = (await house.data(tenant.actor(), document, {"id": id, "at": before.isoformat()}))["recordAsOf"]
    assert (was["values"]["name"], was["entry"]) == ("Plant 1", {"action": "INSERT"})
    assert (await house.data(tenant.actor(), document, {"id": id, "at": now}))["recordAsOf"]["values"][
        "name"
    ] == "Renamed"
    nothing = {"values": None, "entry": None}
    assert (await house.data(stranger.actor(), document, {"id": id, "at": now}))["recordAsOf"] == nothing
    unknown = encode("Plant", 10**15)
    assert (await house.data(tenant.actor(), document, {"id": unknown, "at": now}))["recordAsOf"] == nothing
    assert await house.code(tenant.actor(), document, {"id": encode("Nothing", 1), "at": now}) == "BAD_USER_INPUT"


SETTING = "setting { key isSet version value { integer text } setBy { username } } " + ERRORS


async def test_a_setting_is_seen_set_and_reset(house: House, tenant: Tenant):
    listed = """{ settings(prefix: "sample.") {
      key type sensitive isSet version value { integer decimal boolean } defaultValue { integer } } }"""
    found = {s["key"]: s for s in (await house.data(tenant.actor("plant_manager"), listed))["settings"]}
    assert found["sample.limit"] == {
        "key": "sample.limit", "type": "INTEGER", "sensitive": False, "isSet": False, "version": 0,
        "value": {"integer": 5, "decimal": None, "boolean": None}, "defaultValue": {"integer": 5},
    }  # fmt: skip
    assert found["sample.rate"]["value"]["decimal"] == "0.5"
    put = f"mutation($i: SettingSetInput!) {{ settingSet(input: $i) {{ {SETTING} }} }}"
    given = {"key": "sample.limit", "value": {"integer": 7}, "expectedVersion": 0}
    assert (await house.data(tenant.actor(), put, {"i": given}))["settingSet"] == {
        "setting": {
            "key": "sample.limit", "isSet": True, "version": 1, "value": {"integer": 7, "text": None}, "setBy": {"username": "admin"},
        },
        "errors": [],
    }  # fmt: skip
    stale = (await house.data(tenant.actor(), put, {"i": given}))["settingSet"]
    assert stale == {"setting": None, "errors": [{"code": "VERSION_CONFLICT", "path": ["expectedVersion"]}]}
    wrong = {"key": "sample.limit", "value": {"text": "seven"}, "expectedVersion": 1}
    assert (await house.data(tenant.actor(), put, {"i": wrong}))["settingSet"]["errors"][0][
        "code"
    ] == "VALIDATION_FAILED"
    reset = f'mutation {{ settingReset(input: {{key: "sample.limit", expectedVersion: 1}}) {{ {SETTING} }} }}'
    assert (await house.data(tenant.actor(), reset))["settingReset"]["setting"]["value"] == {"integer": 5, "text": None}
    assert await house.code(tenant.actor("plant_manager"), put, {"i": given}) == "FORBIDDEN"
    assert await house.code(tenant.actor("operator"), listed) == "FORBIDDEN"


async def test_a_sensitive_setting_is_write_only(house: House, tenant: Tenant):
    put = f"mutation($i: SettingSetInput!) {{ settingSet(input: $i) {{ {SETTING} }} }}"
    given = {"key": "sample.password", "value": {"text": "s3cret"}, "expectedVersion": 0}
    setting = (await house.data(tenant.actor(), put, {"i": given}))["settingSet"]["setting"]
    assert (setting["isSet"], setting["value"]) == (True, None)
    trail = await house.data(tenant.actor(), ENTRIES, {"where": {"entityType": {"eq": "Setting"}}})
    assert "s3cret" not in str(trail)


async def test_numbering_schemes(house: House, tenant: Tenant):
    listed = "{ numberingSchemes { documentType prefix padding yearly example version } }"
    found = {s["documentType"]: s for s in (await house.data(tenant.actor(), listed))["numberingSchemes"]}
    year = datetime.now(UTC).year
    assert found["sample"] == {
        "documentType": "sample", "prefix": "SMP", "padding": 4, "yearly": True, "example": f"SMP-{year}-0001", "version": 0,
    }  # fmt: skip
    put = f"mutation($i: NumberingSchemeSetInput!) {{ numberingSchemeSet(input: $i) {{ numberingScheme {{ example version }} {ERRORS} }} }}"
    given = {"documentType": "sample", "prefix": "Z", "padding": 3, "yearly": False, "expectedVersion": 0}
    answer = (await house.data(tenant.actor(), put, {"i": given}))["numberingSchemeSet"]
    assert answer == {"numberingScheme": {"example": "Z-001", "version": 1}, "errors": []}
    refused = (await house.data(tenant.actor(), put, {"i": {**given, "padding": 99, "expectedVersion": 1}}))[
        "numberingSchemeSet"
    ]
    assert refused["errors"] == [{"code": "VALIDATION_FAILED", "path": ["padding"]}]


async def test_the_trail_of_a_plant_is_seen_by_who_sees_the_plant(house: House, tenant: Tenant):
    here, there = tenant.plants
    for plant in tenant.plants:
        await rename(house, tenant, plant, "Renamed")
    where = {"where": {"entityType": {"eq": "Plant"}}}
    nodes = (await house.data(tenant.actor(plants=[here]), ENTRIES, where))["auditEntries"]["nodes"]
    assert {n["entityId"] for n in nodes} == {encode("Plant", here)}
    ask = "query($id: ID!, $at: DateTime!) { recordAsOf(id: $id, at: $at) { values } }"
    at = datetime.now(UTC).isoformat()
    found = await house.data(tenant.actor(plants=[here]), ask, {"id": encode("Plant", there), "at": at})
    assert found["recordAsOf"]["values"] is None


async def test_an_entry_of_the_trail_is_a_record_too(house: House, tenant: Tenant):
    ask = "query($id: ID!, $at: DateTime!) { recordAsOf(id: $id, at: $at) { values } }"
    listed = await house.data(tenant.actor(), "{ auditEntries(first: 1) { nodes { id action } } }")
    (entry,) = listed["auditEntries"]["nodes"]
    found = await house.data(tenant.actor(), ask, {"id": entry["id"], "at": datetime.now(UTC).isoformat()})
    assert found["recordAsOf"]["values"]["action"] == entry["action"].lower()
