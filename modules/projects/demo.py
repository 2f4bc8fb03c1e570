"""Projects of the demo factory, in every state."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

from db.demo import Demo

from .rules import Priority
from .rules import ProjectStatus as S

CUSTOMERS = (
    ("Nordlicht Windkraft", "C1001"), ("Alpina Bahntechnik", "C1002"), ("Pacific Pumps", "C1003"),
    ("Meridian Medical", "C1004"), ("Hansa Fördertechnik", "C1005"), ("Southern Cross Mining", "C1006"),
)  # fmt: skip
THINGS = ("gearbox housings", "bogie frames", "pump skids", "test benches", "conveyor modules", "crusher frames")
"""What each customer orders."""
STATES = (S.ACTIVE, S.ACTIVE, S.ACTIVE, S.COMPLETED, S.ACTIVE, S.ON_HOLD, S.COMPLETED, S.DRAFT, S.ACTIVE, S.CANCELLED)
PROJECTS = {"acme": 20}
ELSEWHERE = 4


async def make(demo: Demo) -> None:
    """Leaves `projects`: rows with id, plant_id, number, status, start_date and actual_end_date."""
    rng = random.Random(f"{demo.org_code} projects")
    plants = [r["id"] for r in await demo.connection.fetch(
        "select id from app.plants where organization_id = $1 order by id", demo.org
    )]  # fmt: skip
    managers = [(r["id"], r["plant_id"]) for r in await demo.connection.fetch(
        "select distinct u.id, g.plant_id from app.users u join app.role_grants g on g.organization_id = u.organization_id"
        " and g.user_id = u.id join app.roles r on r.organization_id = g.organization_id and r.id = g.role_id"
        " where u.organization_id = $1 and r.code in ('plant_manager', 'planner') order by u.id, g.plant_id",
        demo.org,
    )]  # fmt: skip
    rows = [_project(demo, rng, n, plants, managers) for n in range(demo.times(PROJECTS.get(demo.org_code, ELSEWHERE)))]
    ids = await demo.insert("app.projects", rows)
    demo.shared["projects"] = [{"id": id, **row} for id, row in zip(ids, rows, strict=True)]
    await _count(demo, len(rows))


def _project(
    demo: Demo, rng: random.Random, n: int, plants: list[int], managers: list[tuple[int, int | None]]
) -> dict[str, Any]:
    customer, code = CUSTOMERS[n % len(CUSTOMERS)]
    status = STATES[n % len(STATES)]
    today = demo.now.date()
    start = today + timedelta(days=rng.randint(10, 40) if status is S.DRAFT else -rng.randint(30, 150))
    due = start + timedelta(days=rng.randint(60, 180))
    if status is S.COMPLETED:
        start, due = today - timedelta(days=rng.randint(95, 150)), today - timedelta(days=rng.randint(8, 30))
    plant = plants[n % len(plants)] if plants and n % 7 != 6 else None
    leaders = [user for user, where in managers if where in (plant, None)]
    return {
        "plant_id": plant,
        "number": f"PRJ-{demo.now.year}-{n + 1:06}",
        "name": f"{customer}: {rng.randint(2, 40)} {THINGS[n % len(THINGS)]}",
        "customer_name": customer,
        "customer_code": code,
        "sap_sales_order": f"{4_500_000 + rng.randint(0, 99_999)}",
        "manager_id": rng.choice(leaders) if leaders else None,
        "status": status,
        "priority": rng.choices(list(Priority), (2, 5, 3, 1))[0],
        "start_date": start,
        "planned_end_date": due,
        "actual_end_date": due + timedelta(days=rng.randint(-5, 6)) if status is S.COMPLETED else None,
        "version": 1,
        "created_at": demo.now - timedelta(days=160),
        "updated_at": demo.now - timedelta(days=20),
    }


async def _count(demo: Demo, last: int) -> None:
    """The next project takes the next number."""
    await demo.execute(
        "insert into app.numbering_counters (organization_id, document_type, year, last) values ($1, 'project', $2, $3)",
        demo.org, demo.now.year, last,
    )  # fmt: skip
