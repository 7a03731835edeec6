"""The scoreboard: what the experiment shows, what the simulation gives, and the verdict on each."""
