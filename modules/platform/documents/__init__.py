"""Trusted documents: GraphQL documents known by the hash of their text."""
