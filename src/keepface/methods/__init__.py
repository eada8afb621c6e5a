"""The published systems, by the name they are chosen with."""

from keepface.methods.faceme import FaceMe, FaceMeSettings

METHODS = {"faceme": FaceMe}
SETTINGS = {"faceme": FaceMeSettings}
