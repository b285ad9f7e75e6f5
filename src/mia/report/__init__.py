"""The page and the figures of an audit, and its table for a terminal."""
