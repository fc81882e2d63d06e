"""The real servers that tests talk to: started on free loopback ports, with their data in a temporary folder."""
