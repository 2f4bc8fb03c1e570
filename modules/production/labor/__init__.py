"""Time at work: who is clocked on at an operation, and the seconds of people and machines."""
