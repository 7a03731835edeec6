"""The state of a window, the tables of rate parameters, and what any event needs: rate laws, neighbours, selection."""
