"""Earth-observation building blocks; they know neither WPS nor Kubernetes."""
