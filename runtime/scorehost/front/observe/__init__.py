"""Features beside the main path: metrics and the access log."""
