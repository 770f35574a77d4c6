"""Many runs: what is planned, in which order, and who makes them."""
