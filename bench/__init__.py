"""What Deckhand reaches, as JSON lines: `make bench`, or `python -m bench NAME …` for a part."""
