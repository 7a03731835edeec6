"""What a reservoir gives: accuracies, memory, costs, figures and files."""
