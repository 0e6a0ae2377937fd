"""What operators and workers ask: probes, metrics, logs, warm pods."""
