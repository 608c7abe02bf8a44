"""The embedded sets of drawn shapes, which every machine makes for itself."""
