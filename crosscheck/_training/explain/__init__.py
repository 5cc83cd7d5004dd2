"""Why a step of two trainings differs."""
