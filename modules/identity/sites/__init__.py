"""The organization, its plants and departments, and its branding."""
