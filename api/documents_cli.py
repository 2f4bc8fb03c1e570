"""`unison documents register`: documents from files, for an organization or for the server."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, text

from api.databases import Databases
from api.settings import Settings
from db.actor import Actor
from db.migrate import examine
from db.refusal import Refused
from db.roles import OWNER
from db.session import Database
from modules.platform.public import Checked, checked, keep_documents, problems
from schema.build import build

_ORGANIZATION = text("select auth.organization_named(:code)")
_PUT = "insert into meta.trusted_documents (hash, name, text) values ($1, $2, $3) on conflict (hash) do nothing"
_SERVERS = "select hash, name, text from meta.trusted_documents order by name"
_OWN = "select hash, name, text from app.trusted_documents where organization_id = $1 order by name"
AT_ONCE = 100


class CannotRegister(Exception):
    """The documents cannot be registered; the message says why."""


async def register(_settings: Settings, found: Databases, given: argparse.Namespace) -> int:
    schema = build()._schema
    documents: list[Checked] = []
    for file, name, source in _sources(given.files):
        try:
            documents += checked(schema, [(name, source)])
        except Refused as refused:
            raise CannotRegister(f"{file}: {refused.message}") from None
    if given.organization is None:
        await examine(found.privileged_url, lambda connection: _put(connection, documents))
    else:
        await _keep(found.app_url, given.organization, documents)
    for document in documents:
        print(f"sha256:{document.hash}  {document.name}")
    return 0


async def invalid(url: str) -> tuple[int, list[str]]:
    """How many documents are trusted, and those that do not fit the schema any more."""
    kept = await examine(url, _all)
    schema = build()._schema
    wrong = [f"{row.name} of {whose} (sha256:{row.hash[:12]}…)" for whose, row in kept if problems(schema, row.text)]
    return len(kept), wrong


def _all(connection: Connection) -> list[tuple[str, Row[Any]]]:
    """Whose, and which: of the server and of every organization."""
    connection.exec_driver_sql(f"set local role {OWNER}")
    found = [("the server", row) for row in connection.exec_driver_sql(_SERVERS)]
    for id, code in connection.exec_driver_sql(
        "select organization_id, code from app.organizations order by code"
    ).all():
        connection.exec_driver_sql("select app.see($1)", (str(id),))
        found += [(code, row) for row in connection.exec_driver_sql(_OWN, (id,))]
    return found


def _sources(files: Sequence[Path]) -> Iterator[tuple[Path, str | None, str]]:
    """Each file is a document; a JSON file is the manifest of a build: documents by an id of its own."""
    for file in files:
        try:
            content = file.read_text(encoding="utf-8")
            if file.suffix != ".json":
                yield file, None, content
                continue
            manifest = json.loads(content)
        except (OSError, ValueError) as error:
            raise CannotRegister(f"{file}: {error}") from None
        if not isinstance(manifest, dict) or not all(isinstance(one, str) for one in manifest.values()):
            raise CannotRegister(f"{file}: a manifest is an object whose values are documents")
        yield from ((file, None, one) for one in manifest.values())


def _put(connection: Connection, documents: Sequence[Checked]) -> None:
    connection.exec_driver_sql(f"set local role {OWNER}")
    for document in documents:
        connection.exec_driver_sql(_PUT, (document.hash, document.name, document.text))


async def _keep(url: str, code: str, documents: Sequence[Checked]) -> None:
    database = Database.connect(url, pool_size=1)
    try:
        async with database.anonymous() as tx:
            organization = await tx.scalar(_ORGANIZATION, {"code": code})
        if organization is None:
            raise CannotRegister(f"There is no organization {code}")
        async with database.write(Actor(organization)) as tx:
            for first in range(0, len(documents), AT_ONCE):
                await keep_documents(tx, documents[first : first + AT_ONCE])
    finally:
        await database.close()
