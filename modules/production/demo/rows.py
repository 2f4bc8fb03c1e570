"""Rows of the demo orders, with every sum, state and second taken from the rules."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from db.demo import Demo
from modules.production.labor import rules as labor
from modules.production.labor.rules import Clock, Punch
from modules.production.logs.rules import CLOCK, LogKind
from modules.production.operations import rules as flow
from modules.production.orders import rules as orders
from modules.production.orders.rules import WorkOrderStatus as S

from .catalogue import PRODUCTS, Work
from .simulate import Row

PLANNED_AFTER = {S.PLANNED: timedelta(days=11), S.RELEASED: timedelta(days=2)}
"""How long before its planned start an order that has not begun was planned or released; others a few hours."""


async def routings(demo: Demo, plant: dict[str, Any], rng: random.Random) -> dict[str, int]:
    """A routing per product; the first product is in its second revision, and a third is being drafted."""
    made: list[dict[str, Any]] = []
    for n, product in enumerate(PRODUCTS):
        for revision, status in ((1, "retired"), (2, "active"), (3, "draft")) if n == 0 else ((1, "active"),):
            since = demo.now - timedelta(days=200 - 40 * revision)
            made.append(
                {
                    "plant_id": plant["id"],
                    "code": f"R-{product.code}",
                    "revision": revision,
                    "name": product.name,
                    "product_code": product.code,
                    "status": status,
                    "activated_at": None if status == "draft" else since,
                    "retired_at": since + timedelta(days=40) if status == "retired" else None,
                    "created_at": since - timedelta(days=rng.randint(1, 9)),
                }
            )
    ids = await demo.insert("app.routings", made)
    works = {f"R-{product.code}": product.works for product in PRODUCTS}
    await demo.insert(
        "app.routing_operations",
        [
            {"plant_id": plant["id"], "routing_id": id, **_step(plant, n, work)}
            for id, row in zip(ids, made, strict=True)
            for n, work in enumerate(works[row["code"]])
        ],
    )
    return {row["product_code"]: id for id, row in zip(ids, made, strict=True) if row["status"] == "active"}


def _step(plant: dict[str, Any], n: int, work: Work) -> dict[str, Any]:
    machine = plant["machines"].get(work.machine_type)
    return {
        "sequence": 10 * (n + 1),
        "name": work.name,
        "machine_type": work.machine_type,
        "machine_id": machine["id"] if machine else None,
        "setup_seconds": work.setup,
        "run_seconds_per_unit": work.run,
    }


async def write(
    demo: Demo, plans: list[dict[str, Any]], routings: dict[int, dict[str, int]], reasons: dict[str, int]
) -> None:
    """Orders in the order they were created, then what hangs on them."""
    plans.sort(key=lambda plan: plan["created_at"])
    numbers: Counter[int] = Counter()
    for plan in plans:
        year = plan["created_at"].year
        numbers[year] += 1
        plan["number"] = f"WO-{year}-{numbers[year]:06}"
        plan["row"] = _order(demo, plan, routings[plan["plant"]["id"]][plan["product"].code])
    ids = await demo.insert("app.work_orders", [plan["row"] for plan in plans])
    for year, last in numbers.items():
        await demo.execute(
            "insert into app.numbering_counters (organization_id, document_type, year, last) values ($1, $2, $3, $4)",
            demo.org, "work_order", year, last,
        )  # fmt: skip
    for id, plan in zip(ids, plans, strict=True):
        plan["id"] = id
        plan["place"] = {
            "plant_id": plan["plant"]["id"], "department_id": plan["department"], "work_order_id": id
        }  # fmt: skip
    steps = [(plan, n) for plan in plans for n in range(len(plan["product"].works))]
    step_ids = await demo.insert("app.work_order_operations", [_operation(plan, n) for plan, n in steps])
    for plan in plans:
        plan["operations"] = {}
    for (plan, n), id in zip(steps, step_ids, strict=True):
        plan["operations"][n] = id
    await demo.insert("app.operation_labor", [clock for plan in plans for clock in _clocks(plan)])
    await _logs(demo, plans, reasons)
    demo.shared["work_orders"] = [{"id": plan["id"], **plan["row"]} for plan in plans]


def _order(demo: Demo, plan: dict[str, Any], routing_id: int) -> dict[str, Any]:
    book, status = plan["book"], plan["status"]
    moves = [row.at for row in book.rows if row.kind is not LogKind.ISSUE]
    released = plan["moment"] if status not in (S.PLANNED, S.CANCELLED) else None
    ended = status in (S.COMPLETED, S.CLOSED)
    start = _quarter(plan["moment"] + PLANNED_AFTER.get(status, timedelta(hours=6)))
    return {
        "plant_id": plan["plant"]["id"],
        "department_id": plan["department"],
        "number": plan["number"],
        "project_id": plan["project"],
        "routing_id": routing_id,
        "product_code": plan["product"].code,
        "product_name": plan["product"].name,
        "operation_type": plan["product"].operation_type,
        "quantity_ordered": plan["ordered"],
        "unit": "pcs",
        "over_completion_tolerance": plan["tolerance"],
        "quantity_good": book.totals[-1].good,
        "quantity_scrapped": sum((t.scrap for t in book.totals), Decimal(0)),
        "priority": plan["priority"],
        "status": status,
        "status_reason": plan["reason"],
        "short_closed": plan["short"] and ended,
        "planned_start_at": start,
        "planned_end_at": start + timedelta(days=len(plan["product"].works) / 2),
        "released_at": released,
        "actual_start_at": min(moves, default=None),
        "actual_end_at": (book.completed_at or max(moves)) if ended else None,
        "assignee_id": plan["assignee"],
        "created_by_id": plan["planner"],
        "external_system": None if plan["external"] is None else "SAP",
        "external_key": None if plan["external"] is None else f"{1_000_000 + plan['external']:012}",
        "created_at": plan["created_at"],
        "updated_at": max(moves, default=plan["created_at"]),
    }


def _quarter(moment: datetime) -> datetime:
    """Plans name quarters of an hour."""
    return moment.replace(minute=moment.minute // 15 * 15, second=0, microsecond=0)


def _operation(plan: dict[str, Any], n: int) -> dict[str, Any]:
    book, ordered = plan["book"], Decimal(plan["ordered"])
    total = book.totals[n]
    moves = [row.at for row in book.rows if row.step == n and row.kind is not LogKind.ISSUE]
    status = flow.status(plan["status"], started=bool(moves), good=total.good, ordered=ordered)
    worked = [labor.work(punches) for punches in _punches(plan, n).values()]
    return {
        **plan["place"],
        **_step(plan["plant"], n, plan["product"].works[n]),
        "quantity_planned": ordered,
        "unit": "pcs",
        "status": status,
        "quantity_available": flow.available(book.totals, n, orders.maximum(ordered, plan["tolerance"])),
        "quantity_good": total.good,
        "quantity_scrapped": total.scrap,
        "quantity_rework": total.rework,
        "quantity_rework_in": total.rework_in,
        "quantity_reworked": total.reworked,
        "quantity_reworked_good": total.reworked_good,
        "rework_loops": total.rework_loops,
        "people_running": sum(one.state is Clock.RUNNING for one in worked),
        "labor_seconds": sum(one.seconds for one in worked),
        "machine_seconds": labor.machine_seconds(worked),
        "started_at": min(moves, default=None),
        "completed_at": max(moves) if status is flow.OperationStatus.COMPLETED else None,
        "created_at": plan["created_at"],
        "updated_at": max(moves, default=plan["created_at"]),
    }


def _punches(plan: dict[str, Any], n: int) -> dict[int, list[Punch]]:
    machine = plan["plant"]["machines"].get(plan["product"].works[n].machine_type)
    found: dict[int, list[Punch]] = defaultdict(list)
    for order, row in enumerate(plan["book"].rows):
        if row.step == n and row.kind in CLOCK:
            found[row.operator].append(Punch(CLOCK[row.kind], row.at, order, machine["id"] if machine else None))
    return found


def _clocks(plan: dict[str, Any]) -> list[dict[str, Any]]:
    clocks = []
    for n, id in plan["operations"].items():
        for operator, punches in _punches(plan, n).items():
            worked = labor.work(punches)
            clocks.append(
                {
                    **plan["place"],
                    "operation_id": id,
                    "operator_id": operator,
                    "state": worked.state,
                    "running_since": worked.running_since,
                    "seconds": worked.seconds,
                }
            )
    return clocks


async def _logs(demo: Demo, plans: Sequence[dict[str, Any]], reasons: dict[str, int]) -> None:
    """The log in the order it was written; reversals last, when the rows they take back have their keys."""
    said = [(plan, row) for plan in plans for row in plan["book"].rows]
    plain = sorted((one for one in said if one[1].takes_back is None), key=lambda one: one[1].at)
    ids = await demo.insert("tsdata.production_logs", [_log(demo, plan, row, reasons) for plan, row in plain])
    key = {id(row): key for (_, row), key in zip(plain, ids, strict=True)}
    undone = [one for one in said if one[1].takes_back is not None]
    reversals = await demo.insert(
        "tsdata.production_logs", [_log(demo, plan, row, reasons, key) for plan, row in undone]
    )
    await demo.insert(
        "app.production_log_reversals",
        [
            {
                "plant_id": plan["plant"]["id"],
                "department_id": plan["department"],
                "log_id": key[id(row.takes_back)],
                "reversal_id": reversal,
            }
            for (plan, row), reversal in zip(undone, reversals, strict=True)
        ],
    )


def _log(
    demo: Demo, plan: dict[str, Any], row: Row, reasons: dict[str, int], keys: dict[int, int] | None = None
) -> dict[str, Any]:
    sign = -1 if row.takes_back is not None else 1
    machine = plan["plant"]["machines"].get(plan["product"].works[row.step].machine_type)
    taken = row.takes_back
    return {
        **plan["place"],
        "operation_id": plan["operations"][row.step],
        "machine_id": machine["id"] if machine else None,
        "operator_id": row.operator,
        "recorded_by_id": row.operator,
        "kind": row.kind,
        "quantity_good": sign * row.amounts.good,
        "quantity_scrapped": sign * row.amounts.scrap,
        "quantity_rework": sign * row.amounts.rework,
        "unit": "pcs",
        "reworked": row.amounts.reworked,
        "scrap_reason_id": reasons[row.reason] if row.reason else None,
        "rework_operation_id": None if row.target is None else plan["operations"][row.target],
        "reverses_id": None if taken is None or keys is None else keys[id(taken)],
        "reverses_logged_at": None if taken is None else taken.at,
        "notes": row.notes,
        "logged_at": row.at,
        "created_at": min(row.at + timedelta(seconds=2), demo.now),
    }
