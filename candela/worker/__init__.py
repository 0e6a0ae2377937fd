"""The worker: what runs inside the container of one job."""
