"""Deckhand: AI workflows from forms, run durably. README.md has the map of the folders."""
