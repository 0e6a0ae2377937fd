"""Runners: what starts, watches and ends the container (or process) of a job."""
