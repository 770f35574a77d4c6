"""Figures of a report, as bytes: drawn on figures of their own, never through pyplot's global state."""
