"""Long random trials of the promises that the tests make in small."""
