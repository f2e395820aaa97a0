"""Bytes: uploads, results and bundled examples, kept once by their content."""
