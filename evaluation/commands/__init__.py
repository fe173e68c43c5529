"""The commands. Each file turns its command-line options into typed settings and hands these on."""
