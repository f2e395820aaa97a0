"""People: setting up, signing in and out, sessions, passwords."""
