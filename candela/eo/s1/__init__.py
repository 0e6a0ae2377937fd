"""Sentinel-1: products, calibration, geocoding, speckle."""
