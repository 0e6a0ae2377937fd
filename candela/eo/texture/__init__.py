"""Texture and colour features of patches."""
