"""What the product costs, measured beside what a user would write instead, in one run on one machine."""
