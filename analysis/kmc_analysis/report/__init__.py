"""One self-contained HTML page about a study or a run, with the filament in three dimensions."""
