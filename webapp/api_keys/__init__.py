"""Keys that let programs use the API."""
