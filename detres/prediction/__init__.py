"""Trained models as objects: pictures in, detections or classes out."""

from detres.prediction.classifier import Classifier, NamedProbabilities
from detres.prediction.detector import Detector, NamedDetections, weights_as_constants

__all__ = ["Classifier", "Detector", "NamedDetections", "NamedProbabilities", "weights_as_constants"]
