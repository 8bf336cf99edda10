"""The process that runs the entry script."""
