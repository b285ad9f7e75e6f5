"""What lies on disk: written whole, read with every value checked. No schema stands here, so it hardly changes."""
