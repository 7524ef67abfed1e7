"""The admin listener: what operators and their machines ask the gateway about itself."""
