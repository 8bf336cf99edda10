"""What is sent, what must come back, and the entry scripts that answer it."""
