"""What is compared: representations and calibrations."""
