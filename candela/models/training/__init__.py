"""Training of the encoders: ``python -m candela.models.training``; needs the extra ``train``."""
