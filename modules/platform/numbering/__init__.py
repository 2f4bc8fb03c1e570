"""Numbers of documents: dense, per organization, kind and year."""
