"""The tables of listening visits."""

from outreach.models.digest import Digest
from outreach.models.mood import MoodAlert, MoodObservation
from outreach.models.opinion import Opinion, OpinionStep
from outreach.models.place import Place
from outreach.models.visit import Visit

__all__ = ["Digest", "MoodAlert", "MoodObservation", "Opinion", "OpinionStep", "Place", "Visit"]
