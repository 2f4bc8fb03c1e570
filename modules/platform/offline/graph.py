"""Root fields of batches. They are applied by `offlineBatchApply`, which is made from all modules."""

from schema.fields import listing, lookup

from .types import OFFLINE_BATCHES, OfflineBatch

offline_batch = lookup(OfflineBatch, description="One batch of an offline terminal by its id; null when unknown")
offline_batches = listing(
    OfflineBatch, OFFLINE_BATCHES, description="Batches of terminals that had been offline, newest first"
)
