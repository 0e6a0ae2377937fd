"""The map services: WMS, WCS and WFS of published layers."""
