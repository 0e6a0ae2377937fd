"""Synthetic but realistic input, so that everything can be tried without a download."""
