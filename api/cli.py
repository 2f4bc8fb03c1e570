"""The `unison` command. Everything it does works on the database of DATABASE_URL, else on the embedded one."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy.exc import DBAPIError

from api import commands, doctor, documents_cli, logs
from api.databases import databases
from api.seeding import NotOnlyDemo
from api.settings import Settings, SettingsError
from db.embedded import EmbeddedError
from db.migrate import MigrationError

WRONG_USE = 2
FAILED = 1
NOT_MIGRATED = (asyncpg.UndefinedFunctionError, asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError)

Command = Callable[[Settings, argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; problems a reader can mend are told in a sentence each, without a traceback."""
    given = _parser().parse_args(arguments)
    command: Command = given.command
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        settings = Settings.load()
        logs.configure(settings)
        return command(settings, given)
    except SettingsError as error:
        _tell(*error.problems)
        return WRONG_USE
    except (EmbeddedError, MigrationError, NotOnlyDemo, commands.CommandError, documents_cli.CannotRegister) as error:
        _tell(str(error))
    except (OSError, asyncpg.PostgresError, DBAPIError) as error:
        cause = error.orig.__cause__ if isinstance(error, DBAPIError) and error.orig else error
        if isinstance(cause, NOT_MIGRATED):
            _tell(f"The database is not at the revision of this program: run `unison migrate` ({cause})")
        elif _is_connection_problem(cause):
            more = () if command is doctor.report else ("`unison doctor` says more; a new one needs `unison migrate`",)
            _tell(f"The database cannot be reached: {cause}", *more)
        else:
            raise
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return FAILED


def _is_connection_problem(error: BaseException | None) -> bool:
    return isinstance(
        error,
        ConnectionError | TimeoutError | asyncpg.InvalidAuthorizationSpecificationError
        | asyncpg.InvalidCatalogNameError | asyncpg.CannotConnectNowError | asyncpg.PostgresConnectionError,
    ) or (isinstance(error, OSError) and "onnect" in str(error))  # fmt: skip


def _tell(*lines: str) -> None:
    for line in lines:
        print(line, file=sys.stderr)


def _on_database(work: Callable[..., Awaitable[int]]) -> Command:
    """A command that needs the database running, and no more of it than a connection."""

    def run(settings: Settings, given: argparse.Namespace) -> int:
        with databases(settings) as found:
            return asyncio.run(_as_coroutine(work(settings, found, given)))

    return run


async def _as_coroutine(work: Awaitable[int]) -> int:
    return await work


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="unison", description="Unison: manufacturing execution over GraphQL")
    commandset = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, help: str, command: Command, to: Any = commandset) -> argparse.ArgumentParser:
        sub: argparse.ArgumentParser = to.add_parser(name, help=help, description=help)
        sub.set_defaults(command=command)
        return sub

    serve = add(
        "serve", "run the API and the worker; migrates, and furnishes an empty development database", commands.serve
    )
    serve.add_argument("--no-worker", action="store_true", help="only the API; the worker runs elsewhere")
    serve.add_argument("--no-migrate", action="store_true", help="leave the database as it is")
    serve.add_argument("--no-seed", action="store_true", help="do not furnish an empty database")
    add("worker", "run the worker alone", commands.worker)
    migrate = add("migrate", "bring the database to the newest revision", _on_database(commands.migrate))
    migrate.add_argument("--down", metavar="REVISION", help="take the database back to a revision, or to base")
    seed = add("seed", "make the demo organizations anew", _on_database(commands.seed))
    seed.add_argument("--scale", type=_scale, default=1.0, metavar="N", help="this many times the volume (1)")
    schema = commandset.add_parser("schema", help="the GraphQL schema").add_subparsers(required=True, metavar="COMMAND")
    export = add("export", "write schema/schema.graphql", commands.schema_export, to=schema)
    export.add_argument("--check", action="store_true", help="change nothing; fail if the file is not current")
    documents = commandset.add_parser("documents", help="trusted documents").add_subparsers(
        required=True, metavar="COMMAND"
    )
    register = add(
        "register",
        "register documents that clients send by their id",
        _on_database(documents_cli.register),
        to=documents,
    )
    register.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="a document, or a manifest of them (.json)"
    )
    register.add_argument("--organization", metavar="CODE", help="for this organization; for every one unless stated")
    add("doctor", "what was found, what is missing and what it costs", doctor.report)
    token = add("token", "print an access token of a user and nothing else", _on_database(commands.token))
    token.add_argument("email")
    token.add_argument("--organization", metavar="CODE", help="where the same address is known in several")
    return parser


def _scale(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < (value := float(text)) <= 1000:
            return value
    raise argparse.ArgumentTypeError("a number above 0, at most 1000")


if __name__ == "__main__":
    sys.exit(main())
