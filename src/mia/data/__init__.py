"""Where records come from, one source a file, and who is a member of which model."""
