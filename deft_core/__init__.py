"""DEFT Studio's library: preference data in, rewards, selections and runs out. Knows nothing of the dashboard."""

__all__ = ["DEFAULT_MODEL"]

DEFAULT_MODEL = "smollm2-135m"  # what deft_core/lm/default_model.py makes; any other name is a local folder or a Hub id
