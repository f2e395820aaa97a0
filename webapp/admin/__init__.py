"""Staff pages across organizations, and what tells that the machine is well."""
