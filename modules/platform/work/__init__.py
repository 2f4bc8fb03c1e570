"""Work in the background as people see it: jobs, dead letters, schedules and their runs."""
