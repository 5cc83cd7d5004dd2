"""What an activation is: frozen records, and the interface that a record offers in each framework."""
