"""Networks that are trained already, measured on a data set: a user's own, a library's, a run's, or an exported one."""
