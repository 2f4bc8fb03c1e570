"""Operations of a work order: its own copy of the routing, and the pieces that flow through it."""
