"""Put the demo routings, orders and log into the database, every sum by the rules."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from db.demo import Demo
from modules.platform.public import Holders, tell_past
from modules.production.orders import notices
from modules.production.orders import rules as orders
from modules.production.orders.rules import WorkOrderPriority
from modules.production.orders.rules import WorkOrderStatus as S
from modules.projects.public import ProjectStatus

from . import rows
from .catalogue import DEPARTMENTS, HOLDS, PRODUCTS, SCRAP_REASONS, STATES, Product
from .simulate import Book, Place, Stretch

DAYS = 90
ORDERS = {"acme": 300}
ELSEWHERE = 40
TOLD = 8
"""Of how many orders that were released or held people were told."""
AGO: dict[S, tuple[float, float]] = {
    S.CLOSED: (20, 88), S.COMPLETED: (6, 30), S.IN_PROGRESS: (1.5, 9), S.RELEASED: (0.2, 3), S.PLANNED: (0.5, 10),
    S.ON_HOLD: (4, 18), S.CANCELLED: (5, 80),
}  # fmt: skip
"""How many days ago orders of a state were released (or planned)."""
UNDER_WAY = {ProjectStatus.ACTIVE}
DONE = {ProjectStatus.ACTIVE, ProjectStatus.ON_HOLD, ProjectStatus.COMPLETED}
MADE_FOR: dict[S, set[ProjectStatus]] = {
    S.PLANNED: UNDER_WAY,
    S.RELEASED: UNDER_WAY,
    S.IN_PROGRESS: UNDER_WAY,
    S.ON_HOLD: UNDER_WAY | {ProjectStatus.ON_HOLD},
    S.COMPLETED: DONE,
    S.CLOSED: DONE,
    S.CANCELLED: UNDER_WAY | {ProjectStatus.CANCELLED},
}
"""States of a project that may have orders in a state."""


async def make(demo: Demo) -> None:
    """Leaves `scrap_reasons` (id by code) and `work_orders` (rows with id, plant_id, number, status)."""
    rng = random.Random(f"{demo.org_code} production")
    reasons = await _scrap_reasons(demo)
    plants = await _plants(demo)
    routings = {plant["id"]: await rows.routings(demo, plant, rng) for plant in plants}
    plans = [_plan(demo, rng, n, plants) for n in range(demo.times(ORDERS.get(demo.org_code, ELSEWHERE)))]
    for plan in sorted(plans, key=lambda plan: plan["moment"]):
        _work(demo, plan, rng)
        plan["project"] = _project(demo, rng, plan)
    await rows.write(demo, plans, routings, reasons)
    for status, kind in ((S.RELEASED, notices.RELEASED), (S.ON_HOLD, notices.HELD)):
        latest = sorted((p for p in plans if p["status"] is status), key=lambda p: p["moment"])[-TOLD:]
        for plan in latest:
            await tell_past(
                demo, kind, notices.facts(plan["row"]), to=Holders(notices.TOLD, plan["department"]), at=plan["moment"],
                plant_id=plan["plant"]["id"], about=("WorkOrder", plan["id"]),
            )  # fmt: skip


def _plan(demo: Demo, rng: random.Random, n: int, plants: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What an order is meant to be."""
    plant, product = plants[n % len(plants)], PRODUCTS[rng.randrange(len(PRODUCTS))]
    status = STATES[(n * 7) % len(STATES)]
    today = status is S.IN_PROGRESS and rng.random() < 0.5
    moment = demo.now - _days_of(rng, (0.3, 1.3) if today else AGO[status])
    external = rng.random() < 0.6
    tolerance = rng.choice(("0", "0", "0.02", "0.05", "0.1"))
    return {
        "plant": plant,
        "product": product,
        "status": status,
        "moment": moment,
        "created_at": moment - _days_of(rng, (0.5, 2)) if status is not S.PLANNED else moment,
        "ordered": 2 * product.lot[1] if today else rng.randint(*product.lot),
        "tolerance": Decimal(tolerance),
        "priority": rng.choices(list(WorkOrderPriority), (2, 6, 3, 1))[0],
        "short": status in (S.CLOSED, S.COMPLETED) and rng.random() < 0.06,
        "share": 1.0,
        "today": today,
        "department": next(
            (d for code in DEPARTMENTS[product.operation_type] if (d := plant["departments"].get(code))), None
        ),
        "project": None,
        "external": n if external else None,
        "planner": None if external else rng.choice(plant["planners"]),
        "assignee": rng.choice(plant["operators"]),
        "reason": None,
    }


def _work(demo: Demo, plan: dict[str, Any], rng: random.Random) -> None:
    """Do the order's work, and let its state follow from how far it came."""
    plant, product, status = plan["plant"], plan["product"], plan["status"]
    book = Book(
        rng=rng,
        works=product.works,
        places=_places(plant, product),
        operators=plant["operators"],
        maximum=orders.maximum(Decimal(plan["ordered"]), plan["tolerance"]),
        ordered=plan["ordered"],
        now=demo.now,
    )
    plan["book"] = book
    if status in (S.PLANNED, S.RELEASED):
        return
    if status is S.CANCELLED:
        plan["reason"] = "Customer withdrew the order"
        return
    if (status is S.IN_PROGRESS and not plan["today"]) or status is S.ON_HOLD or plan["short"]:
        plan["share"] = rng.uniform(0.3, 0.8)
    if status is S.ON_HOLD and rng.random() < 0.4:
        plan["reason"] = HOLDS[0]
        return
    book.work(plan["moment"] + _days_of(rng, (0.05, 0.1 if plan["today"] else 0.5)), plan["share"])
    if status is S.ON_HOLD:
        plan["reason"] = rng.choice(HOLDS)
    elif not book.rows:
        plan["status"] = S.RELEASED
    elif book.completed_at is not None:
        aged = book.completed_at < demo.now - timedelta(days=10)
        plan["status"] = S.CLOSED if status is S.CLOSED and aged else S.COMPLETED
        plan["short"] = False
    elif plan["short"] and book.rows[-1].at < demo.now - timedelta(days=3):
        plan["reason"] = "Customer takes what is there"
    else:
        plan["status"], plan["short"] = S.IN_PROGRESS, False


def _places(plant: dict[str, Any], product: Product) -> list[Place]:
    return [plant["places"].get(work.machine_type, plant["people"]) for work in product.works]


def _days_of(rng: random.Random, span: tuple[float, float]) -> timedelta:
    """A while between two numbers of days, in whole seconds as clocks give it."""
    return timedelta(seconds=round(86_400 * rng.uniform(*span)))


def _project(demo: Demo, rng: random.Random, plan: dict[str, Any]) -> int | None:
    """A project of the plant, or of all, that was under way when the order was."""
    begun, last = plan["created_at"].date(), max((row.at for row in plan["book"].rows), default=plan["moment"]).date()
    fitting = [
        p["id"]
        for p in demo.shared.get("projects", ())
        if p["plant_id"] in (plan["plant"]["id"], None)
        and p["status"] in MADE_FOR[plan["status"]]
        and p["start_date"] <= begun
        and (p["actual_end_date"] is None or last <= p["actual_end_date"])
    ]
    return rng.choice(fitting) if fitting and rng.random() < 0.6 else None


async def _scrap_reasons(demo: Demo) -> dict[str, int]:
    found = await demo.insert(
        "app.scrap_reasons",
        [{"code": code, "name": name, "category": category} for code, (name, category) in SCRAP_REASONS.items()],
    )
    demo.shared["scrap_reasons"] = dict(zip(SCRAP_REASONS, found, strict=True))
    return dict(demo.shared["scrap_reasons"])


async def _plants(demo: Demo) -> list[dict[str, Any]]:
    """Plants with departments, operators, one machine of each kind, and the time all of them have."""
    found = await demo.connection.fetch(
        "select p.id, p.code, p.time_zone,"
        " array(select d.id from app.departments d where d.organization_id = $1 and d.plant_id = p.id order by d.id)"
        " as department_ids,"
        " array(select d.code from app.departments d where d.organization_id = $1 and d.plant_id = p.id order by d.id)"
        " as department_codes,"
        " array(select distinct u.id from app.users u"
        "  join app.role_grants g on g.organization_id = u.organization_id and g.user_id = u.id"
        "  join app.roles r on r.organization_id = g.organization_id and r.id = g.role_id"
        "  where u.organization_id = $1 and r.code = 'planner' and (g.plant_id is null or g.plant_id = p.id)"
        "  order by u.id) as planners,"
        " array(select distinct u.id from app.users u"
        "  join app.role_grants g on g.organization_id = u.organization_id and g.user_id = u.id"
        "  join app.roles r on r.organization_id = g.organization_id and r.id = g.role_id"
        "  where u.organization_id = $1 and r.code = 'operator' and (g.plant_id is null or g.plant_id = p.id)"
        "  order by u.id) as operators,"
        " (select min(u.id) from app.users u where u.organization_id = $1) as anybody"
        " from app.plants p where p.organization_id = $1 order by p.id",
        demo.org,
    )
    plants = [dict(row) for row in found]
    start = demo.now - timedelta(days=DAYS)
    for plant in plants:
        plant["operators"] = plant["operators"] or [plant["anybody"]]
        plant["planners"] = plant["planners"] or [plant["anybody"]]
        plant["departments"] = dict(zip(plant["department_codes"], plant["department_ids"], strict=True))
        plant["machines"] = {
            m["machine_type"]: m
            for m in reversed(demo.shared.get("machines", ()))
            if m["plant_id"] == plant["id"] and m["status"] != "decommissioned"
        }
        plant["places"] = {kind: Place(machine["running"]) for kind, machine in plant["machines"].items()}
        plant["people"] = Place(_days(ZoneInfo(plant["time_zone"]), start, demo.now), shared=True)
    return plants


def _days(zone: ZoneInfo, start: datetime, end: datetime) -> list[Stretch]:
    """Working days from 06:00 to 22:00 by the plant's clock."""
    days: list[Stretch] = []
    day = start.astimezone(zone).date()
    while day <= end.astimezone(zone).date():
        opens = datetime(day.year, day.month, day.day, 6, tzinfo=zone)
        closes = datetime(day.year, day.month, day.day, 22, tzinfo=zone)
        if day.weekday() < 5 and opens < end and closes > start:
            days.append((max(opens, start), min(closes, end)))
        day += timedelta(days=1)
    return days
