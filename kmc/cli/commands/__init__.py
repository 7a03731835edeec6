"""The commands of kmc: module `name` holds the function `name`, imported when the command is given."""
