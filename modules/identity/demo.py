"""The people of the demo: acme in three time zones with a user of every role, and globex beside it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, Final

from db.demo import Demo

from .sessions.passwords import hash_now

PASSWORD: Final = "unison-demo"  # noqa: S105  printed at the start, for demo organizations only
AGE: Final = timedelta(days=400)

ROLES: Final = {
    "admin": "admin", "manager": "plant_manager", "planner": "planner", "supervisor": "supervisor", "operator": "operator",
    "quality": "quality_inspector", "maintenance": "maintenance_technician", "warehouse": "warehouse", "viewer": "viewer",
}  # fmt: skip
CREW: Final = (
    ("plant_manager", 1), ("planner", 1), ("supervisor", 2), ("operator", 6), ("quality_inspector", 1),
    ("maintenance_technician", 1), ("warehouse", 1),
)  # fmt: skip
"""Who works in a plant besides the named ones."""


@dataclass(frozen=True)
class Site:
    code: str
    name: str
    kind: str
    zone: str
    locale: str
    address: str
    people: tuple[tuple[str, ...], tuple[str, ...]]
    departments: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Company:
    name: str
    industry: str
    color: str
    accent: str
    sites: tuple[Site, ...]
    named: tuple[str, ...]


GERMAN = (
    ("Anna", "Jonas", "Lena", "Felix", "Marie", "Lukas", "Sophie", "Paul", "Clara", "Emil", "Ida", "Karl", "Greta"),
    ("Schneider", "Weber", "Fischer", "Wagner", "Becker", "Hoffmann", "Koch", "Richter", "Wolf", "Neumann"),
)
AUSTRALIAN = (
    ("Olivia", "Jack", "Charlotte", "Noah", "Mia", "Thomas", "Chloe", "Liam", "Ruby", "Cooper", "Zoe", "Ethan", "Isla"),
    ("Smith", "Nguyen", "Williams", "Taylor", "Walker", "Kelly", "Murphy", "Campbell", "Morgan", "Reid"),
)
INDIAN = (
    (
        "Aarav",
        "Priya",
        "Rohan",
        "Ananya",
        "Vikram",
        "Meera",
        "Arjun",
        "Kavya",
        "Rahul",
        "Sneha",
        "Amit",
        "Divya",
        "Nikhil",
    ),
    ("Kulkarni", "Patil", "Deshpande", "Joshi", "Sharma", "Iyer", "Mehta", "Gupta", "Shinde", "Rao"),
)
AMERICAN = (
    (
        "Emily",
        "Michael",
        "Grace",
        "Daniel",
        "Hannah",
        "Carlos",
        "Rachel",
        "David",
        "Maria",
        "Kevin",
        "Laura",
        "James",
        "Sara",
    ),
    ("Johnson", "Garcia", "Miller", "Davis", "Lopez", "Clark", "Turner", "Baker", "Reyes", "Hall"),
)
CUT, WELD, ASSEMBLE, MACHINE = ("CUT", "Cutting"), ("WELD", "Welding"), ("ASM", "Assembly"), ("MCH", "Machining")
TEST, PAINT, STORE = ("QA", "Quality"), ("PNT", "Painting"), ("WH", "Warehouse")

COMPANIES: Final = {
    "acme": Company(
        "Acme Fabrication", "Metal fabrication", "#0b5fff", "#ffb000",
        (
            Site("BER", "Berlin Works", "fabrication", "Europe/Berlin", "de", "Industriestr. 12, 12099 Berlin, Germany",
                 GERMAN, (CUT, WELD, MACHINE, TEST)),
            Site("SYD", "Sydney Assembly", "assembly", "Australia/Sydney", "en-AU", "4 Foundry Rd, Seven Hills NSW 2147, Australia",
                 AUSTRALIAN, (ASSEMBLE, PAINT, STORE)),
            Site("PNQ", "Pune Production", "production", "Asia/Kolkata", "en-IN", "Plot 7, MIDC Chakan, Pune 410501, India",
                 INDIAN, (MACHINE, ASSEMBLE, TEST)),
        ),
        tuple(ROLES),
    ),
    "globex": Company(
        "Globex Manufacturing", "Pumps and valves", "#0f766e", "#f97316",
        (Site("CHI", "Chicago Plant", "production", "America/Chicago", "en-US", "1800 W Fulton St, Chicago IL 60612, USA",
              AMERICAN, (MACHINE, ASSEMBLE)),),
        ("admin", "operator"),
    ),
}  # fmt: skip


async def make(demo: Demo) -> None:
    """An organization with its plants, departments, roles, people and their grants."""
    company = COMPANIES.get(demo.org_code) or COMPANIES["globex"]
    await _organization(demo, company)
    plants = await _plants(demo, company)
    await demo.execute("select auth.seed_roles($1)", demo.org)
    roles = {
        r["code"]: r["id"]
        for r in await demo.connection.fetch("select code, id from app.roles where organization_id = $1", demo.org)
    }
    users = await _people(demo, company, plants, roles)
    await _heads(demo, plants, users)
    await demo.insert(
        "app.apps",
        [{"code": "erp", "name": "ERP middleware", "description": "Exchanges orders with the ERP", **_born(demo)}],
    )
    demo.shared["plants"], demo.shared["users"], demo.shared["roles"] = plants, users, roles


def _born(demo: Demo) -> dict[str, Any]:
    """Long before anything happened, so that the state at an earlier instant can be asked for."""
    return {"created_at": demo.now - AGE, "updated_at": demo.now - AGE}


async def _organization(demo: Demo, company: Company) -> None:
    await demo.insert(
        "app.organizations",
        [
            {
                "code": demo.org_code, "subdomain": demo.org_code, "name": company.name, "industry": company.industry,
                "contact_email": f"office@{demo.org_code}.example", "primary_color": company.color,
                "accent_color": company.accent, "logo_url": f"https://{demo.org_code}.example/logo.svg", **_born(demo),
            }
        ],
    )  # fmt: skip


async def _plants(demo: Demo, company: Company) -> list[dict[str, Any]]:
    rows = [
        {"code": s.code, "name": s.name, "plant_type": s.kind, "time_zone": s.zone, "address": s.address, **_born(demo)}
        for s in company.sites
    ]
    plants = [{"id": id, **row} for id, row in zip(await demo.insert("app.plants", rows), rows, strict=True)]
    for plant, site in zip(plants, company.sites, strict=True):
        units = [
            {"plant_id": plant["id"], "code": code, "name": name, **_born(demo)} for code, name in site.departments
        ]
        plant["departments"] = await demo.insert("app.departments", units)
    return plants


async def _people(
    demo: Demo, company: Company, plants: list[dict[str, Any]], roles: dict[str, int]
) -> list[dict[str, Any]]:
    people = [*_named(demo, company, plants), *_crews(demo, company, plants)]
    rows = [
        {
            "email": p["email"], "username": p["email"].partition("@")[0], "full_name": p["name"],
            "employee_code": f"{demo.org_code[:1].upper()}{n:04d}", "locale": p["locale"],
            "all_plants": p["plant"] is None, **_born(demo),
        }
        for n, p in enumerate(people, 1)
    ]  # fmt: skip
    for person, id in zip(people, await demo.insert("app.users", rows), strict=True):
        person["id"] = id
    await demo.insert(
        "auth.credentials",
        [{"user_id": p["id"], "password_hash": _password_hash(), "must_change": False, "changed_at": demo.now - AGE} for p in people],
    )  # fmt: skip
    await demo.insert(
        "app.role_grants",
        [
            {"user_id": p["id"], "role_id": roles[p["role"]], "plant_id": p["plant"], "department_id": p["department"], **_born(demo)}
            for p in people
        ],
    )  # fmt: skip
    await demo.insert(
        "app.user_plant_access",
        [
            {
                "user_id": p["id"], "plant_id": p["plant"], "can_read": True, "can_write": True,
                "can_delete": p["role"] == "plant_manager", **_born(demo),
            }
            for p in people
            if p["plant"] is not None
        ],
    )  # fmt: skip
    return people


def _named(demo: Demo, company: Company, plants: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sign-ins for every role: in every plant, but for the operator, who works in the first one only."""
    return [
        {
            "email": f"{name}@{demo.org_code}.example", "name": f"{demo.org_code.title()} {name.title()}", "locale": "en",
            "role": ROLES[name], "plant": plants[0]["id"] if name == "operator" else None, "department": None,
        }
        for name in company.named
    ]  # fmt: skip


def _crews(demo: Demo, company: Company, plants: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Who works in each plant: supervisors in one department, the others in all of it."""
    made = []
    for plant, site in zip(plants, company.sites, strict=True):
        first, last = site.people
        firsts, lasts = demo.rng.sample(first, len(first)), [demo.rng.choice(last) for _ in first]
        jobs = [role for role, count in CREW for _ in range(count)]
        for n, (given, family, role) in enumerate(zip(firsts, lasts, jobs, strict=True)):
            departments = plant["departments"]
            made.append(
                {
                    "email": f"{given}.{family}.{site.code}@{demo.org_code}.example".lower(), "name": f"{given} {family}",
                    "locale": site.locale, "role": role, "plant": plant["id"],
                    "department": departments[n % len(departments)] if role == "supervisor" else None,
                }
            )  # fmt: skip
    return made


async def _heads(demo: Demo, plants: list[dict[str, Any]], users: list[dict[str, Any]]) -> None:
    for user in users:
        if user["role"] == "plant_manager" and user["plant"] is not None:
            await demo.execute(
                "update app.plants set manager_id = $3 where organization_id = $1 and id = $2",
                demo.org,
                user["plant"],
                user["id"],
            )
        if user["department"] is not None:
            await demo.execute(
                "update app.departments set head_id = $3 where organization_id = $1 and id = $2",
                demo.org, user["department"], user["id"],
            )  # fmt: skip


@cache
def _password_hash() -> str:
    """Hashed once for all: a hash takes longer than everything else here."""
    return hash_now(PASSWORD)
