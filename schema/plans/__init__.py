"""The fast executor: a selection of declared fields is answered by one SQL statement that PostgreSQL turns into JSON.

Read in this order: `collect` (document → `tree`), `pages` (arguments → conditions), `sql` (tree → text), `finish` (what
Python adds to the rows), `call` (root fields with functions of their own), `execute` (all of it, once per operation, for what
`deciding` finds), `mutate` (payloads). Whatever else is not declared is left to the loaders.
"""
