"""Images and grids: read, write, resample, register, smooth."""
