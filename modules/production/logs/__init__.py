"""The production log: what people and machines reported, never changed, corrected by reversals."""
