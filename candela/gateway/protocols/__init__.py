"""One package for each protocol: codecs onto the canonical request and the one job store."""
