"""A house whose module `sample` tells people of things, and a mail server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from modules.platform.public import use_mail
from schema.registry import Module, NotificationKind, register, registered
from tests.post import Post

SAMPLE = Module(
    name="sample",
    notifications={
        "sample.told": NotificationKind(description="Told", title="{{ what }}", body="It is {{ what }}.\n{{ more }}"),
        "sample.mailed": NotificationKind(
            description="Mailed", title="{{ what }}", body="{{ more }}", severity="critical", email=True
        ),
    },
)


@pytest.fixture(autouse=True)
def sample() -> Iterator[None]:
    before = list(registered())
    register([*before, SAMPLE])
    yield
    register(before)


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    async with Post().open() as post:
        use_mail(post.server())
        yield post
        use_mail(None)
