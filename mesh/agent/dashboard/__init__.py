"""What people and monitors see of an agent over HTTP: JSON, metrics, health and a page."""
