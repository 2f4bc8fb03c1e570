"""Work orders: an order to make a quantity, and the states it goes through."""
