"""The command line: parse, call, print. No arithmetic lives here."""
