"""Apps and the keys they call with."""
