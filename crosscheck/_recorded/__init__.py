"""What the frameworks' own functions were seen to do where they deviate: one data file for each environment."""
