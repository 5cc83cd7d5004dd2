"""The landmarks, at which both programs are cut into stretches."""
