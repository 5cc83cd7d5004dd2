"""Records of the deviations of what the frameworks ship: one data file for each environment."""
