"""What agents tell the mesh of themselves, and the routes that follow from it."""
