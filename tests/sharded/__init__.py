"""Models and trainings of JAX that several devices share, and mistakes in them, held against PyTorch on one device."""
