"""What is wrong at a fault, in words that a run proves."""
