"""Pages that are not scoring, served off the event loop."""
