"""Who may do what, and where: organizations, plants, departments, users, roles, sessions, apps and their keys."""
