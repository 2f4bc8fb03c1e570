"""Projects: what a customer ordered, that work orders are made for."""
