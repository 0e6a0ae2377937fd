"""The publisher for production: layers of a GeoServer, by its REST interface."""
