"""Runs: one execution of one version of a plan, from start to end."""
