"""Telling pages and workers that something changed: a doorbell, never the truth."""
