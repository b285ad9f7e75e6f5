"""Networks: built, trained, stored, asked."""
