"""Fields that inputs of every module share, in one wording."""

from typing import ClassVar

import strawberry

from schema.ids import key

VERSION = "The version that was read; another one now is refused as a VersionConflict"
IDEMPOTENCY = "The same key never takes effect twice: sent again, it is given the first answer"


@strawberry.input
class VersionInput:
    """An object in the version that was read. A subclass names the type in `of`."""

    of: ClassVar[str]

    id: strawberry.ID = strawberry.field(description="Which one")
    expected_version: int = strawberry.field(description=VERSION)
    idempotency_key: str | None = strawberry.field(description=IDEMPOTENCY, default=None)

    @property
    def key(self) -> int:
        return key(self.of, self.id)
