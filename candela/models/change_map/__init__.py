"""Change maps: a pair of images in, the map and what is derived from it out."""
