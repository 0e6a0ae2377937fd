"""Trained encoders and the models of change that are built on them."""
