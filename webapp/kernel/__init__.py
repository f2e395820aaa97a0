"""The floor of the house: errors, ids, clock, database, hints. Knows no feature and no Flask."""
