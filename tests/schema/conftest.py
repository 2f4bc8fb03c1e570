"""The small module's tables beside the real ones."""

import asyncpg
import pytest

from db.session import Database
from schema.build import build
from tests.conftest import Urls
from tests.schema import widgets
from tests.support import House


@pytest.fixture(scope="session")
async def shop(urls: Urls, database: Database) -> House:
    connection = await asyncpg.connect(urls.admin)
    await connection.execute("set role unison_owner")
    await connection.execute(widgets.DDL)
    await connection.close()
    return House(build([widgets.MODULE]), database)
