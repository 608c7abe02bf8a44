"""What a shell may complete after `detres`, and the script of each shell that does."""
