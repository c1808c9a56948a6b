"""The service: ports, cables and switches from a file, run for months, asked and changed while it runs."""
