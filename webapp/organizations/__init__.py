"""The tenant: an organization and who belongs to it."""
