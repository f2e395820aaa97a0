"""Where the engine meets the database: claim, journal, lease, and the ports of a run."""
