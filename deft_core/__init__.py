"""DEFT Studio's library: preference data in, rewards, selections and runs out. Knows nothing of the dashboard."""
