"""The description of a service, made once when its script is ready."""
