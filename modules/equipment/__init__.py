"""Machines: what they are, what state they have been in at every moment, and what their meters read."""
