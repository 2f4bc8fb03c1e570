"""A house that issues real tokens, and people with passwords."""

import asyncpg
import pytest

from db.session import Database
from modules.identity.public import TokenSigner, hash_now
from schema.build import build
from tests.support import House, Tenant

PASSWORD = "unison-demo"  # as in the demo
HASH = hash_now(PASSWORD)


@pytest.fixture(scope="session")
def signer() -> TokenSigner:
    return TokenSigner("a-secret-for-tests-of-more-than-32-bytes")


@pytest.fixture(scope="session")
async def desk(database: Database, signer: TokenSigner) -> House:
    """The schema as the sign-in desk has it: with tokens."""
    return House(build(), database, tokens=signer)


@pytest.fixture
async def people(tenant: Tenant, admin: asyncpg.Connection) -> Tenant:
    """The tenant, where everyone's password is PASSWORD."""
    await admin.execute(
        "insert into auth.credentials (organization_id, user_id, password_hash, changed_at)"
        " select organization_id, id, $2, now() from app.users where organization_id = $1",
        tenant.organization_id, HASH,
    )  # fmt: skip
    return tenant
