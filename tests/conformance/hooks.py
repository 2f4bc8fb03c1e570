"""Values for the scalars of this API: mostly ones it knows, some it must refuse."""

import base64

import schemathesis
from hypothesis import strategies as st
from schemathesis.graphql import nodes

ODD = st.sampled_from(
    ["", "x", "NaN", "-1", "1e400", "0001-01-01", "2026-02-30", "2026-01-31T08:00:00", "\u0000", "9" * 40]
)
TYPES = (
    "Plant",
    "Department",
    "Machine",
    "WorkOrder",
    "WorkOrderOperation",
    "ProductionLog",
    "Routing",
    "Project",
    "Meter",
)


def _or_odd(known: st.SearchStrategy[str]) -> st.SearchStrategy:
    return st.one_of(known, known, known, ODD).map(nodes.String)


def _id(type_name: str, number: int) -> str:
    return base64.b64encode(f"{type_name}:{number}".encode()).decode()


schemathesis.graphql.scalar("ID", _or_odd(st.builds(_id, st.sampled_from(TYPES), st.integers(1, 60))))
schemathesis.graphql.scalar("DateTime", _or_odd(st.datetimes().map(lambda at: at.isoformat() + "Z")))
schemathesis.graphql.scalar("Date", _or_odd(st.dates().map(str)))
schemathesis.graphql.scalar("Decimal", _or_odd(st.decimals(-10_000, 10_000, places=3).map(str)))
schemathesis.graphql.scalar("BigInt", _or_odd(st.integers(-(2**70), 2**70).map(str)))
schemathesis.graphql.scalar("JSON", st.sampled_from(["", "x"]).map(nodes.String))
