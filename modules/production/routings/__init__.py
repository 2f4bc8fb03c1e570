"""How a product is made: revisions of a routing, each a list of operations."""
