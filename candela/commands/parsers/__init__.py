"""The parsers of the commands, by story; what a command does is imported when it is called."""
