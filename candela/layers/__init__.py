"""What a map server must know of a raster or of polygons, read where the pixels are."""
