"""The database of patch models: what DMG-DF writes, and search, annotation and analytics read."""
