"""WPS 1.0.0 (OGC 05-007r7): requests by PyWPS's parser, documents of our own."""
