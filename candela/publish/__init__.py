"""Rasters become WMS and WCS layers."""
