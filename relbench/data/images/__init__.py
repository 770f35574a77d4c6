"""Photos: decoded, kept decoded, and shown."""
