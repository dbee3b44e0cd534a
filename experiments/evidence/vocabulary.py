"""Words that the suites put together; most tokenizers have each as one token behind a blank."""

from __future__ import annotations

# Parted by blanks.
WORDS = """
apple river stone cloud paper train music light green house table chair window bridge
forest garden street market school engine silver copper winter summer spring autumn morning
evening water fire earth wind sand salt sugar bread milk coffee honey butter cotton leather
wool glass metal wood brick clock watch mirror camera radio phone letter book story poem
song dance voice picture color shape circle square line point corner wall floor roof door
key lock rope chain hammer knife spoon plate bottle basket box bag coat hat shoe ring crown
sword shield arrow bow horse sheep goat bird fish snake frog mouse lion tiger bear wolf fox
rabbit deer eagle owl
"""
NAMES = ("Emma", "Jack", "Sarah", "Tom", "Anna", "David")
# How often each of them is seen, in some order: two come back after 16 frames or so.
SEEN = (5, 4, 3, 2, 1, 1)
PLACES = ("kitchen", "garden", "library", "garage", "office", "bedroom", "museum", "station")
PETS = ("cat", "dog", "rabbit", "snake", "horse", "bird", "fish", "mouse")
COLORS = ("red", "blue", "green", "yellow", "black", "white", "orange", "purple")
THINGS = ("book", "camera", "knife", "phone", "bottle", "hammer", "letter", "clock")
SCENE = "{name} is in the {place} with a {color} {pet} and holds a {thing}."
FILLER = " Nothing else moves, the light is low and the street outside is quiet at this hour today."
