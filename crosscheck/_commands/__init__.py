"""The commands of the command line, a module each or one for those that belong together."""
