"""Machine status as a gap-free, overlap-free partition of time, and what it adds up to."""
