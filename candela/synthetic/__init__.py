"""Made-up Sentinel products with known truth."""
