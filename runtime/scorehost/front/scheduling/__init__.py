"""Which request is given to which worker, and when; and what comes back."""
