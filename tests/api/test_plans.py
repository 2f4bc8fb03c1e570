"""What the edge tells of plans: to those who write documents, and to those who watch the server."""

from __future__ import annotations

from api import metrics
from api.documents import Documents, named
from api.limits import Limits
from tests.api.conftest import Live
from tests.support import House, Tenant


async def ask(live: Live, tenant: Tenant, document: str) -> dict[str, object]:
    headers = {"authorization": f"Bearer {await live.token(tenant)}"}
    body = {"query": document, "extensions": {"plan": True}}
    answer: dict[str, object] = (await live.client.post("/graphql", json=body, headers=headers)).json()
    return answer


async def test_a_document_s_plan_is_told_where_it_is_asked_for(live: Live, tenant: Tenant):
    answer = await ask(live, tenant, "{ plants(first: 1) { nodes { code } } me { organization { code } } }")
    plan = answer["extensions"]["plan"]  # type: ignore[index]
    assert "app.plants" in plan["statement"]
    assert list(plan["left"]) == ["me"]
    assert list(answer["data"]) == ["plants", "me"]  # type: ignore[call-overload]


async def test_the_plans_of_several_mutations_are_told_together(live: Live, tenant: Tenant):
    def reason(alias: str, code: str, payload: str = "scrapReason { code } errors { code }") -> str:
        return f'{alias}: scrapReasonCreate(input: {{code: "{code}", name: "N", category: HANDLING}}) {{ {payload} }}'

    answer = await ask(live, tenant, f"mutation {{ {reason('a', 'R1')} {reason('b', 'R2')} }}")
    plan = answer["extensions"]["plan"]  # type: ignore[index]
    assert plan["left"] == {}
    assert plan["statement"].count("from app.scrap_reasons") == 2
    assert answer["data"] == {
        key: {"scrapReason": {"code": code}, "errors": []} for key, code in (("a", "R1"), ("b", "R2"))
    }
    answer = await ask(live, tenant, f"mutation {{ {reason('c', 'R3')} {reason('d', 'R1')} {reason('e', 'R4')} }}")
    assert list(answer["extensions"]["plan"]["left"]) == ["d", "e"]  # type: ignore[index]
    refused = {"scrapReason": None, "errors": [{"code": "ALREADY_EXISTS"}]}
    assert answer["data"] == {
        "c": {"scrapReason": {"code": "R3"}, "errors": []}, "d": refused, "e": {"scrapReason": {"code": "R4"}, "errors": []},
    }  # fmt: skip


async def test_queries_are_counted_by_who_answers_them(live: Live, tenant: Tenant):
    def counted() -> list[float]:
        return [metrics.planned.counts[how,] for how in ("planned", "partly", "left")]

    before = counted()
    await ask(live, tenant, "{ plants(first: 1) { nodes { code } } notificationUnreadCount }")
    await ask(live, tenant, "{ plants(first: 1) { nodes { code } } me { user { id } } }")
    await ask(live, tenant, "{ me { user { id } } }")
    assert [now - then for now, then in zip(counted(), before, strict=True)] == [1, 1, 1]


async def test_plans_of_mutations_weigh_as_those_of_queries_do(house: House) -> None:
    documents = Documents(
        house.schema, Limits(), suggestions=False, size=600_000
    )  # so that a short one weighs what it is
    create = 'reasonCodeCreate(input: {code: "A", name: "b", category: SETUP, appliesTo: [IDLE]})'
    text = f"mutation($f: Boolean!) {{ {create} {{ reasonCode {{ id name @include(if: $f) }} errors {{ code }} }} }}"
    documents.read(text)
    operation = named(documents.known(text), None)  # type: ignore[arg-type]
    for flag in (True, False):
        variables = operation.prepared._declared.values({"f": flag})
        assert isinstance(operation.prepared._postings_of(variables), list)  # type: ignore[arg-type]
    documents.known(text)
    assert documents._kept.weight == documents._kept._owned[None][text].weight
