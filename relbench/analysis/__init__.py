"""From rows to a summary: means, intervals, comparisons, claims, and what a report shows beside them."""
