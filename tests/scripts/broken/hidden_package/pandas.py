"""Notes on pandas."""
