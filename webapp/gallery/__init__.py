"""Plans ready to be copied, and the example that a new machine runs once."""
