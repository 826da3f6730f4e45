"""256 short words, one for each byte, for what two people compare by eye or by voice. Data: a change of any word is a
new version of the door for joining."""

from __future__ import annotations

WORDS = tuple(
    """
acid acorn actor agent album alley amber angle ankle apple apron arena armor arrow atlas attic bacon
badge bagel baker banjo barn basil basin beach beard bench berry birch bison blade blanket bonus
bottle brick bridge broom brush bucket bugle butter cabin cable cactus camel canal candle canoe
carbon cargo carrot castle cedar cello chalk cherry chess circus clay clinic clock cloud cobra cocoa
comet copper coral cotton cradle crater cream crown cube daisy dance delta denim desert diesel
dinner disk dolphin donkey dragon drum eagle earth easel echo elbow elder emerald engine fabric
falcon farmer feather ferry fiddle finch flag flint flute forest fossil fountain fox frost garden
garlic ghost ginger giraffe glacier globe goat golf grape gravel guitar hammer harbor hazel helmet
hippo hockey honey hotel igloo index insect iron island ivory jacket jaguar jelly jewel jungle kayak
kernel kettle kitten koala ladder lagoon lantern lemon lentil library lion lobster lotus lumber
magnet mango maple marble meadow melon mirror monkey mosaic moss motor mountain museum napkin nectar
needle nickel noodle nutmeg oasis ocean octopus olive onion opera orange orbit otter oxygen oyster
paddle palace panda parrot pebble pencil pepper piano pigeon pilot pirate planet pocket polar potato
prism pumpkin puzzle quartz quilt rabbit radar raven ribbon river robin rocket saddle sailor salmon
satin shadow shelf silver sketch sofa spider sponge statue sugar sunset table tango temple thunder
tiger tomato tractor trumpet tulip tunnel turtle umbrella uncle vacuum valley vanilla velvet violin
volcano waffle walnut whale wheat window winter wizard yacht yellow yogurt zebra zigzag
""".split()  # noqa: SIM905 - a list of 256 quoted words reads worse
)
assert len(set(WORDS)) == 256
