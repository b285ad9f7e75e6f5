"""Membership-inference auditing: the library under the stages. One noun a file; no stage is imported here."""
