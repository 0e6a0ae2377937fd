"""Texture features of patches."""
