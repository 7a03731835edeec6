"""The experiment: its targets, its figures on virtual devices, and the scoreboard."""
