"""What a run is asked to do: voltage protocols, settings and run files, checked with file and line."""
