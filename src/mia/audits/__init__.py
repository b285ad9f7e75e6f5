"""An audit's folder, made from what a user brings."""
