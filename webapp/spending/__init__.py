"""What models cost: their prices, and the ledger of every call."""
