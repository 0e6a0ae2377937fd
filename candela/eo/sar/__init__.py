"""SAR images: reading, speckle statistics and change."""
