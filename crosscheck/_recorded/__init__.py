"""What the functions that the frameworks ship were seen to do where they deviate: one data file for each environment."""
