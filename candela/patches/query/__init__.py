"""Questions to the patch database."""
