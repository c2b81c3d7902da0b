"""Fine-tuning runs: a run is a folder plus a process."""
