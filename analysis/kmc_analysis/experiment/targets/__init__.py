"""The observations of the experiment and the verdict on each."""
