"""Production: how a product is made (routings), orders to make a quantity of it, and the log of what was made."""
