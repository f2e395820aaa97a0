"""Kills parts of a running Deckhand and counts what happened outside."""
