"""Files, written whole and read with every value checked. No schema is here, so that it hardly changes."""
