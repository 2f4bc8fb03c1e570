"""The registry of machines: their master data and their life from registration to decommissioning."""
