"""The gateway: HTTP in front of the jobs. It never touches pixels and never fetches an input."""
