"""Images: their files, headers, orientation, colours and pixels."""
