"""What the README's figures come from: tables of medians and ratios, never a test."""
