"""Why it failed: reports, hints and the reasons processes die."""
