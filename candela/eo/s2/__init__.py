"""Sentinel-2: products, bands, masks, metadata, the tiling grid."""
