"""Why pieces are scrapped."""
