"""Workflows: drafts, checks, versions and the builder."""
