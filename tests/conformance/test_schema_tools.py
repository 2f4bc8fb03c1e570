"""Tools of others over schema.graphql and the documents of client-examples."""

from __future__ import annotations

import shutil

from tests.conformance.conftest import HERE, ROOT, Node

# Fields and values stand in the order they are read in, not in the alphabet's.
RULES = (
    "arguments-have-descriptions", "defined-types-are-used", "deprecations-have-a-reason",
    "descriptions-are-capitalized", "enum-values-all-caps", "enum-values-have-descriptions", "fields-are-camel-cased",
    "fields-have-descriptions", "input-object-values-are-camel-cased", "input-object-values-have-descriptions",
    "relay-connection-arguments-spec", "relay-connection-types-spec", "relay-page-info-spec", "types-are-capitalized",
    "types-have-descriptions",
)  # fmt: skip


def test_the_schema_lints(node: Node) -> None:
    schema = ROOT / "schema" / "schema.graphql"
    node.tool("graphql-schema-linter", "graphql-schema-linter", "--rules", ",".join(RULES), str(schema))


def test_typescript_is_generated_from_the_documents_and_compiles(node: Node) -> None:
    shutil.rmtree(HERE / "generated", ignore_errors=True)
    node.tool("@graphql-codegen/cli", "graphql-codegen", "--config", "codegen.json")
    node.tool("typescript", "tsc", "--project", "tsconfig.json")
