"""Pictures of an audit: pure functions from tables to matplotlib figures, a module a kind of figure."""
