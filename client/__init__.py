"""The client of CANDELA."""
