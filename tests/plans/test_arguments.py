"""Arguments with values of the request in them: the library is asked once for what never changes."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import GraphQLSchema, OperationDefinitionNode, parse
from graphql.execution.values import get_argument_values

from schema.plans import arguments
from tests.support import House

RECORD = (
    'mutation($op: ID!, $n: Int, $key: String) {{ productionLogRecord(input: {{operationId: $op, kind: REPORT, good: "1",'
    " idempotencyKey: {key}}}) {{ workOrder {{ operations(first: $n) {{ nodes {{ id }} }} }} }} }}"
)


def _read(house: House, document: str) -> tuple[arguments.Variables, arguments.Read]:
    schema: GraphQLSchema = house.schema._schema
    operation = parse(document).definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    node: Any = operation.selection_set.selections[0]
    root = schema.get_root_type(operation.operation)
    assert root is not None
    field = root.fields[node.name.value]
    read, _ = arguments.reader(house.schema, field.extensions["strawberry-definition"], field, node)
    return arguments.Variables(schema, operation.variable_definitions), read


def test_the_library_is_asked_once_whatever_variables_stand_below(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(
        arguments, "get_argument_values", lambda *given: (calls.append(given), get_argument_values(*given))[1]
    )
    variables, read = _read(house, RECORD.format(key='"k"'))
    answers = [read(variables.values({"op": f"op{n}"}))["input"] for n in range(5)]  # type: ignore[arg-type]
    assert [(one.operation_id, one.idempotency_key) for one in answers] == [(f"op{n}", "k") for n in range(5)]
    assert len(calls) == 1


@pytest.mark.parametrize(
    "given", [{"op": "a"}, {"op": "a", "key": None}, {"op": "a", "key": "k"}, {"op": "b", "key": "l"}]
)
def test_what_is_missing_or_null_the_library_judges_each_time(house: House, given: dict[str, Any]) -> None:
    variables, read = _read(house, RECORD.format(key="$key"))
    read(variables.values({"op": "before", "key": "before"}))  # type: ignore[arg-type]
    if given.get("key") is None:
        with pytest.raises(arguments.GraphQLError):
            read(variables.values(given))  # type: ignore[arg-type]
    else:
        input = read(variables.values(given))["input"]  # type: ignore[arg-type]
        assert (input.operation_id, input.idempotency_key) == (given["op"], given["key"])


def test_arguments_go_by_the_names_the_resolver_takes_them_by(house: House) -> None:
    variables, read = _read(house, "query($plant: ID) { workOrderStatusCounts(plantId: $plant) { count } }")
    for given in ({}, {"plant": "one"}, {"plant": None}, {"plant": "two"}):
        assert read(variables.values(given)) == {"plant_id": given.get("plant")}  # type: ignore[arg-type]
