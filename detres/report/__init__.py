"""Reports: pictures with boxes, sheets of pictures, curves. Knows neither data sets nor models."""
