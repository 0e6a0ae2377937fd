"""CANDELA: Copernicus algorithms as standard OGC web processing services."""

__version__ = "0.2.0"
