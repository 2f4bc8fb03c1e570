"""Documents made to hurt: each is refused with its code before it runs, or is cheap. Measured by tests/load/hostile.py."""

from __future__ import annotations

from dataclasses import dataclass

COMPLEX, INVALID, PARSE = "OPERATION_TOO_COMPLEX", "GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED"
DEEP = ("plant {{ workOrders(first: 1) {{ nodes {{ {} }} }} }}", "id")


@dataclass(frozen=True)
class Hostile:
    name: str
    document: str
    code: str | None
    """None where it is answered, because it is cheap."""


def _nested(shape: str, levels: int, leaf: str) -> str:
    made = leaf
    for _ in range(levels):
        made = shape.replace("%", made)
    return made


def _fields(count: int) -> str:
    return " ".join(["number"] * count)


def _fragments(count: int, body: str, root: str = "...F0") -> str:
    made = "\n".join(body.replace("%n", str(n)).replace("%m", str(n + 1)) for n in range(count))
    return f"{{ workOrders(first: 1) {{ nodes {{ {root} }} }} }} {made} fragment F{count} on WorkOrder {{ id }}"


def _side_by_side(count: int) -> str:
    half = count // 2
    first, second = (" ".join(f"...F{n}" for n in range(*part)) for part in ((half,), (half, count)))
    made = " ".join(f"fragment F{n} on WorkOrder {{ plant {{ id code }} number }}" for n in range(count))
    return f"{{ workOrders(first: 1) {{ nodes {{ {first} ... on WorkOrder {{ {second} }} }} }} }} {made}"


def _everyone(count: int) -> str:
    spread = " ".join(f"...F{n}" for n in range(count))
    made = " ".join(f"fragment F{n} on WorkOrder {{ plant {{ id code }} {spread} }}" for n in range(count))
    return f"{{ workOrders {{ nodes {{ {spread} }} }} }} {made}"


def _chain(operations: int, fragments: int) -> str:
    asked = " ".join(f"query Q{n} {{ ...F0 }}" for n in range(operations))
    made = " ".join(f"fragment F{n} on Query {{ ...F{n + 1} plants {{ __typename }} }}" for n in range(fragments - 1))
    return f"{asked} {made} fragment F{fragments - 1} on Query {{ __typename }}"


def below_sizes(levels: int, times: int) -> str:
    """A fragment below so many pages of each level, all of a size that stands in a variable."""
    page = "workOrders(first: $n) { ...C%m } "
    made = " ".join(
        f"fragment C{n} on WorkOrderConnection {{ nodes {{ plant {{ {page.replace('%m', str(n + 1)) * times}}} }} }}"
        for n in range(levels)
    )
    last = f"fragment C{levels} on WorkOrderConnection {{ nodes {{ id }} }}"
    return f"query A($n: Int = 1) {{ workOrders(first: $n) {{ ...C0 }} }} {made} {last}"


def _overlapping(count: int) -> str:
    body = "plant { id } plant { id code } id version plant { id }"
    made = " ".join(f"fragment F{n} on WorkOrder {{ {body} ...F{n + 1} }}" for n in range(count))
    return f"{{ workOrders(first: 1) {{ nodes {{ ...F0 ...F1 ...F2 plant {{ id }} }} }} }} {made} fragment F{count} on WorkOrder {{ id }}"


HOSTILE = [
    Hostile("deep", "{ " + _nested("plant { workOrders { nodes { % } } }", 10, "id") + " }", COMPLEX),
    Hostile("deeper than can be parsed", "{a" * 5_000 + "}" * 5_000, COMPLEX),
    Hostile("deep inline fragments", "{" + "... {" * 200 + "__typename" + "}" * 201, COMPLEX),
    Hostile("wide", "{ workOrders { nodes { " + " ".join(f"f{n}" for n in range(2_000)) + " } } }", COMPLEX),
    Hostile("aliases", "{ " + " ".join(f"a{n}: __typename" for n in range(101)) + " }", COMPLEX),
    Hostile("aliased pages", "{ " + " ".join(f"a{n}: workOrders(first: 200) {{ nodes {{ operations(first: 200) {{ nodes {{ id }} }} }} }}"
                                             for n in range(25)) + " }", COMPLEX),
    Hostile("multiplied pages", "{ workOrders(first: 200) { nodes { operations(first: 200) { nodes { labor(first: 200)"
                                " { nodes { id } } } } } } }", COMPLEX),
    Hostile("the same field over and over", "{ " + "__typename " * 500 + "}", COMPLEX),
    Hostile("the same field below", "{ workOrders(first: 1) { nodes { " + _fields(900) + " } } }", COMPLEX),
    Hostile("the same object over and over", "{ " + "workOrders(first: 1) { nodes { id } } " * 70 + "}", COMPLEX),
    Hostile("the same fragment over and over", "{ " + "...F " * 400 + "} fragment F on Query { __typename }", COMPLEX),
    Hostile("the same inline fragment", "{ " + "... { __typename } " * 200 + "}", COMPLEX),
    Hostile("fields that clash", "{ workOrders(first: 1) { nodes { " + " ".join(
        f"... {{ x: {name} }}" for name in ("id", "number", "version", "status", "priority")) + " } } }", INVALID),
    Hostile("fragments in a circle", "{ workOrders { nodes { ...A } } } fragment A on WorkOrder { id ...B }"
                                     " fragment B on WorkOrder { id ...A }", INVALID),
    Hostile("a fragment in itself", "{ ...A } fragment A on Query { __typename ...A }", INVALID),
    Hostile("fragments that double", _fragments(60, "fragment F%n on WorkOrder { a%n: id ...F%m ...F%m }"), COMPLEX),
    Hostile("fragments that double objects", _fragments(
        25, "fragment F%n on WorkOrder { plant { id } ...F%m ... on WorkOrder { ...F%m } }"), None),
    Hostile("fragments that all spread each other", _everyone(18), COMPLEX),
    Hostile("fragments that overlap", _overlapping(35), COMPLEX),
    Hostile("fragments below sizes in variables", below_sizes(3, 18), None),
    Hostile("many fragments side by side", "{ workOrders(first: 1) { nodes { " + " ".join(f"...F{n}" for n in range(70)) + " } } } "
            + " ".join(f"fragment F{n} on WorkOrder {{ plant {{ id }} }}" for n in range(70)), COMPLEX),
    Hostile("as many fragments as may overlap", _side_by_side(26), None),
    Hostile("as many fragments as there may be", _side_by_side(50), COMPLEX),
    Hostile("one fragment more", _side_by_side(51), COMPLEX),
    Hostile("fragments nobody uses", "{ __typename } " + " ".join(f"fragment F{n} on Query {{ __typename }}" for n in range(50)), INVALID),
    Hostile("directives", "{ __typename " + "@include(if: true) " * 10 + "}", COMPLEX),
    Hostile("unknown directives", "{ __typename " + "@aa " * 10 + "}", COMPLEX),
    Hostile("directives everywhere", "{ " + " ".join("__typename @skip(if: false) @include(if: true)" for _ in range(90)) + "}", COMPLEX),
    Hostile("a long list", "{ nodes(ids: [" + '"x" ' * 5_000 + "]) { id } }", COMPLEX),
    Hostile("lists in lists", "{ nodes(ids: " + "[" * 400 + "]" * 400 + ") { id } }", COMPLEX),
    Hostile("deep conditions", "{ workOrders(where: " + "{not: " * 150 + "{}" + "}" * 150 + ") { nodes { id } } }", None),
    Hostile("comments", "# nothing\n" * 50_000 + "{ __typename }", COMPLEX),
    Hostile("many operations", " ".join(f"query Q{n} {{ __typename }}" for n in range(190)), COMPLEX),
    Hostile("operations that share all fragments", _chain(48, 38), COMPLEX),
    Hostile("as many of them as there may be", _chain(20, 30), "OPERATION_RESOLUTION_FAILURE"),
    Hostile("variables nobody uses", "query A(" + " ".join(f"$v{n}: Int" for n in range(300)) + ") { __typename }", COMPLEX),
    Hostile("mistakes", "{ " + " ".join(f"nothing{n}(a: 1, b: 2) {{ c }}" for n in range(70)) + " }", INVALID),
    Hostile("introspection in a circle", "{ __schema { types { fields { type { fields { type { fields { type {"
                                         " fields { type { name } } } } } } } } } } }", COMPLEX),
    Hostile("introspection twice around", "{ __schema { types { fields { type { fields { name } } } } } }", COMPLEX),
    Hostile("introspection through what is possible", "{ __schema { types { possibleTypes { interfaces { possibleTypes"
                                                      " { name } } } } } }", COMPLEX),
    Hostile("introspection by aliases", "{ " + " ".join(f"a{n}: __schema {{ types {{ name }} }}" for n in range(20)) + " }", COMPLEX),
    Hostile("introspection by aliases below", "{ __schema { " + " ".join(
        f"a{n}: types {{ fields {{ name }} }}" for n in range(20)) + " } }", COMPLEX),
    Hostile("introspection by fragments", "{ __schema { types { ...T } } } fragment T on __Type { fields { type { ...U } } }"
                                          " fragment U on __Type { fields { type { name } } }", COMPLEX),
    Hostile("a long string", '{ echo(value: "' + "a" * 1_000_000 + '") }', COMPLEX),
    Hostile("a string as long as may be", '{ node(id: """' + "a\\n" * 33_000 + '""") { id } }', None),
    Hostile("a string without an end", '{ echo(value: "' + "a" * 99_980 + " }", PARSE),
    Hostile("brackets", "{" * 900, PARSE),
]  # fmt: skip
