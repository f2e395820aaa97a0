"""How `deckhand up` ends, for those who start it from a script."""

SETTINGS = 2
PORT_TAKEN = 3
FOLDER_HELD = 4
DATABASE = 5
