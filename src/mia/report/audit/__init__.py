"""The report of one audit: what was measured, read and checked, and the page that shows it, a module a part."""
