"""What gateway, runners and worker share: documents of a job, addresses, names."""
