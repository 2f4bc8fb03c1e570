"""Batches of what terminals did while they were offline; `schema/offline.py` applies them."""
