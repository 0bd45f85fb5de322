"""Exact metrics and the averaging of views."""
