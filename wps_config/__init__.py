"""The description of the service: pywps.cfg (limits) and metadata.yaml (who and what)."""
