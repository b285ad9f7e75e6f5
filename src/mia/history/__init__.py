"""Audits of other commits: read, compared, published."""
