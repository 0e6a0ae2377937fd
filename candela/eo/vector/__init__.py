"""Features and tables: read, write, statistics over parcels."""
