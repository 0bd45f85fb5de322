"""Foreign weights in: readers, rules, inflation."""
