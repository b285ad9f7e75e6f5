"""Networks: built, trained, stored, queried."""
