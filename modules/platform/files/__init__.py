"""Files: bytes in object storage, and in PostgreSQL whose they are and what was found in them."""
