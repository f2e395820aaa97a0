"""Who may do what, and in which organization: decided here and nowhere else."""
