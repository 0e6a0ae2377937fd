"""WPS 2.0.2 (OGC 14-065r2): KVP and XML."""
