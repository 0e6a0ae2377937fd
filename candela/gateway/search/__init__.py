"""Searching patches over HTTP."""
