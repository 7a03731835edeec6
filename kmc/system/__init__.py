"""The state of a window, tables of rate parameters, rate laws, neighbours and selection of events."""
