"""Sign-in, sessions, tokens and passwords."""
