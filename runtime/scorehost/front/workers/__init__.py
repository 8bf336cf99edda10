"""The scoring processes: how many there are, how they start and how they end."""
