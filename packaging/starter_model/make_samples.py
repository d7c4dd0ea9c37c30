"""Makes resources/samples: the example project, with a known answer for every file.

    python make_samples.py

300 pictures (200 things, 100 scenes), 200 spoken names and captions, 60 sounds, 200 texts; what belongs together is
listed as one sample. Drawn by code of its own, said in voices that training never heard; the same content every time.
"""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import numpy as np
import paint
import soundfile
import sounds
import speak
import world
from common import REPOSITORY, write_json
from PIL import Image, ImageFilter

FOLDER = REPOSITORY / "resources" / "samples"
THINGS = {
    "animal": "dog,cat,horse,cow,pig,elephant,giraffe,zebra,kangaroo,rabbit,hedgehog,koala,panda,fox,lion,tiger face,"
    "bear,frog,turtle,snake,crocodile,shark,dolphin,whale,octopus,crab,butterfly,honeybee,lady beetle,snail,spider,"
    "owl,eagle,duck,swan,penguin,parrot,rooster,bird,bat,camel,llama,sloth,otter,squid,cricket,scorpion,flamingo,"
    "peacock,tropical fish",
    "food": "red apple,pear,banana,lemon,strawberry,cherries,grapes,watermelon,pineapple,peach,tomato,carrot,avocado,"
    "ear of corn,mushroom,bread,cheese wedge,egg,pizza,hamburger,hot dog,french fries,popcorn,taco,sushi,ice cream,"
    "doughnut,cookie,birthday cake,chocolate bar,lollipop,hot beverage,beer mug,pretzel,croissant,broccoli",
    "vehicle": "bicycle,motorcycle,automobile,bus,taxi,ambulance,police car,fire engine,tractor,locomotive,airplane,"
    "helicopter,rocket,sailboat,canoe,ship,skateboard,delivery truck,flying saucer,parachute",
    "weather": "sun,rainbow,snowflake,cloud with lightning,cloud with rain,tornado,full moon,crescent moon,"
    "umbrella,fire,droplet,water wave,snowman,comet",
    "music": "guitar,violin,trumpet,drum,musical keyboard,saxophone,accordion,banjo,microphone,bell",
    "thing": "telephone,alarm clock,light bulb,candle,book,key,hammer,scissors,pencil,camera,open book,"
    "spiral notepad,television,laptop,"
    "balloon,kite,teddy bear,soccer ball,basketball,trophy,crown,backpack,umbrella with rain drops,glasses,"
    "t-shirt,dress,running shoe,chair,bed,door,bathtub,broom,compass,magnet,telescope,microscope,anchor,gem stone",
    "place": "house,castle,tent,desert island,volcano,ferris wheel,mountain,hospital,fountain,bridge at night",
    "plant": "cactus,sunflower,rose,tulip,palm tree,evergreen tree,four leaf clover,maple leaf,cherry blossom,hibiscus",
    "body": "eye,ear,nose,mouth,foot,tooth,brain,bone,beating heart,skull",
    "face": "grinning face,crying face,sleeping face,clown face,ghost,robot,alien,jack-o-lantern,"
    "smiling face with sunglasses",
    "shape": "red circle,blue star,yellow triangle,purple pentagon,green heart,orange arrow,pink hexagon,brown ring",
    "digit": "digit three,digit seven,digit eight,digit five",
    "sign": "clapping hands,recycling symbol,warning,yin yang",
}
PASTEL = [
    (250, 250, 250),
    (255, 244, 214),
    (222, 240, 255),
    (226, 246, 226),
    (250, 226, 236),
    (236, 230, 250),
    (40, 48, 72),
]
RELATIONS = {
    "left of": "{A} to the left of {b}",
    "next to": "{A} next to {b}",
    "and": "{A} and {b}",
    "above": "{A} above {b}",
}


@dataclass
class Project:
    """What samples.json will hold."""

    items: list[dict[str, object]] = field(default_factory=list)
    samples: list[dict[str, object]] = field(default_factory=list)

    def add(self, path: str, modality: str, concepts: list[str], tags: list[str], **more: object) -> str:
        """Lists one file; `concept` for one thing, `concepts` for several."""
        about: dict[str, object] = {"concept": concepts[0]} if len(concepts) == 1 else {"concepts": concepts}
        self.items.append({"path": path, "modality": modality, **about, "tags": tags, **more})
        return path


def chosen_things() -> list[tuple[world.Concept, str]]:
    """The concepts of the example project with their group; names that this version of the CLDR lacks are skipped."""
    by_name = {c.name: c for c in world.concepts()}
    found = [(by_name[n], group) for group, names in THINGS.items() for n in names.split(",") if n in by_name]
    return [(c, g) for c, g in found if not c.held_out and not c.unspoken]


def backdrop(side: int, rng: np.random.Generator) -> Image.Image:
    """A calm ground: one pastel colour fading into another."""
    first, second = (np.array(PASTEL[i], float) for i in rng.integers(0, len(PASTEL) - 1, 2))
    angle = rng.uniform(0, 2 * math.pi)
    ramp = np.linspace(-0.5, 0.5, side)
    along = np.clip(0.5 + ramp[:, None] * math.sin(angle) + ramp[None] * math.cos(angle), 0, 1)[..., None]
    return Image.fromarray((first * (1 - along) + second * along).astype(np.uint8))


def put(picture: Image.Image, thing: Image.Image, centre: tuple[float, float], turn_degrees: float) -> list[int]:
    """Pastes a thing with a soft shadow; returns its box [left, top, right, bottom] in pixels."""
    turned = thing.rotate(turn_degrees, Image.Resampling.BICUBIC, expand=True)
    left, top = round(centre[0] - turned.width / 2), round(centre[1] - turned.height / 2)
    shade = turned.getchannel("A").filter(ImageFilter.GaussianBlur(4)).point(lambda a: a // 4)
    picture.paste((60, 60, 80), (left + 3, top + 5), shade)
    picture.paste(turned, (left, top), turned)
    ink = turned.getchannel("A").getbbox() or (0, 0, 1, 1)
    width, height = picture.size
    box = (left + ink[0], top + ink[1], left + ink[2], top + ink[3])
    return [max(0, box[0]), max(0, box[1]), min(width, box[2]), min(height, box[3])]


def draw_thing(concept: world.Concept, rng: np.random.Generator) -> Image.Image:
    """A picture of one thing, 192 pixels square."""
    picture = backdrop(192, rng)
    side = int(rng.integers(118, 160))
    centre = (96 + rng.uniform(-12, 12), 96 + rng.uniform(-12, 12))
    put(picture, paint.thing(concept, side, rng), centre, float(rng.normal(0, 6)))
    return picture


def draw_scene(
    things: list[world.Concept], above: bool, rng: np.random.Generator
) -> tuple[Image.Image, list[list[int]]]:
    """Two or three things in a row (or two on top of each other), 256 pixels square, with their boxes."""
    picture = backdrop(256, rng)
    places = {2: [(70, 128), (186, 128)], 3: [(64, 84), (192, 84), (128, 186)]}[len(things)]
    if above:
        places = [(128, 70), (128, 186)]
    boxes = []
    for thing, (x, y) in zip(things, places, strict=True):
        side = int(rng.integers(92, 112)) if len(things) == 2 else int(rng.integers(84, 100))
        slack = 14 if len(things) == 2 else 6
        centre = (x + rng.uniform(-6, 6), y + (rng.uniform(-slack, slack) if not above else 0))
        boxes.append(put(picture, paint.thing(thing, side, rng), centre, float(rng.normal(0, 6))))
    return picture, boxes


def sentence(text: str) -> str:
    """First letter large."""
    return text[0].upper() + text[1:]


def scene_caption(things: list[world.Concept], relation: str) -> str:
    """'A dog next to an ambulance', 'A dog, a cat and a bell'."""
    a = [world.article(t.name) for t in things]
    return sentence(RELATIONS[relation].format(A=a[0], b=a[1]) if len(things) == 2 else f"{a[0]}, {a[1]} and {a[2]}")


def slug(text: str) -> str:
    """A file name from a text."""
    return "_".join("".join(c if c.isalnum() else " " for c in text.lower()).split())


def save_speech(text: str, path: Path, rng: Random) -> None:
    """A text in a voice that training did not hear."""
    voice = speak.Voice(
        rng.choice(speak.ACCENTS), rng.choice(speak.HELD_OUT_VARIANTS), rng.randint(140, 180), rng.randint(35, 65)
    )
    wave = speak.speak(text, voice).wave
    soundfile.write(
        path, np.concatenate([np.zeros(1600, np.float32), wave * 0.8]), speak.RATE, format="OGG", subtype="VORBIS"
    )


def save_text(text: str, path: Path) -> None:
    """One line, UTF-8."""
    path.write_text(text + "\n", encoding="utf-8")


def make_things(project: Project, things: list[tuple[world.Concept, str]]) -> None:
    """200 pictures of things; the first 100 kinds (and all that sound) also said and written, 60 sounds."""
    rng, voices = np.random.default_rng(2024), Random(2024)
    sounding = [t for t in things if t[0].name in sounds.SOUNDS]
    silent = [t for t in things if t[0].name not in sounds.SOUNDS]
    mixed = [silent[i] for i in np.random.default_rng(4).permutation(len(silent))]
    kinds = (sounding + mixed)[:200]
    takes = {c.name: 60 // len(sounding) + (i < 60 % len(sounding)) for i, (c, _) in enumerate(sounding)}
    for row in range(200):
        concept, group = kinds[row % len(kinds)]
        name, again = concept.name, "" if row < len(kinds) else "_2"
        tags = [group] + ([] if concept.kind == "emoji" else [concept.kind])
        path = f"pictures/{slug(name)}{again}.webp"
        draw_thing(concept, rng).save(FOLDER / path, quality=88, method=6)
        group_paths = [project.add(path, "image", [name], [*tags, "thing"])]
        if row < 100:
            written = f"texts/{slug(name)}.txt"
            save_text(sentence(world.article(name)), FOLDER / written)
            group_paths.append(project.add(written, "text", [name], [*tags, "name"]))
        if row < 120:
            said = f"speech/{slug(name)}.ogg"
            save_speech(name, FOLDER / said, voices)
            group_paths.append(project.add(said, "audio", [name], [*tags, "speech", "name"]))
        for take in range(takes.get(name, 0)):
            heard = f"sounds/{slug(name)}_{take + 1}.ogg"
            wave = sounds.make(name, rng, 2.0)
            soundfile.write(FOLDER / heard, wave, sounds.RATE, format="OGG", subtype="VORBIS")
            project.add(heard, "audio", [name], [*tags, "sound"])
            if take == 0:
                group_paths.append(heard)
        if len(group_paths) > 1:
            project.samples.append({"name": name, "items": group_paths})


def make_scenes(project: Project, things: list[tuple[world.Concept, str]]) -> None:
    """100 scenes with written captions, 80 of them said as well."""
    rng, voices = np.random.default_rng(77), Random(77)
    for row in range(100):
        count = 2 if row < 70 else 3
        picked = [things[i][0] for i in rng.choice(len(things), count, replace=False)]
        relation = list(RELATIONS)[row % len(RELATIONS)] if count == 2 else "and"
        names, text = [t.name for t in picked], scene_caption(picked, relation)
        stem = f"scene_{row + 1:03d}_{slug(' '.join(names))}"
        picture, boxes = draw_scene(picked, relation == "above", rng)
        picture.save(FOLDER / f"pictures/{stem}.webp", quality=88, method=6)
        tags = ["scene", f"{count} objects"]
        marked = [{"concept": n, "box": b} for n, b in zip(names, boxes, strict=True)]
        paths = [project.add(f"pictures/{stem}.webp", "image", names, tags, boxes=marked, caption=text)]
        save_text(text, FOLDER / f"texts/{stem}.txt")
        paths.append(project.add(f"texts/{stem}.txt", "text", names, [*tags, "caption"]))
        if row < 80:
            save_speech(text, FOLDER / f"speech/{stem}.ogg", voices)
            paths.append(project.add(f"speech/{stem}.ogg", "audio", names, [*tags, "speech", "caption"]))
        project.samples.append({"name": text, "items": paths})


def main() -> None:
    """Writes everything anew."""
    for part in ("pictures", "sounds", "speech", "texts"):
        shutil.rmtree(FOLDER / part, ignore_errors=True)
        (FOLDER / part).mkdir(parents=True)
    project, things = Project(), chosen_things()
    make_things(project, things)
    make_scenes(project, things)
    write_json(FOLDER / "samples.json", {"items": project.items, "samples": project.samples})
    kinds = [p.parent.name for p in FOLDER.rglob("*") if p.is_file() and p.parent != FOLDER]
    size = sum(p.stat().st_size for p in FOLDER.rglob("*") if p.is_file()) / 1e6
    print({k: kinds.count(k) for k in sorted(set(kinds))}, f"{len(things)} things, {size:.1f} MB")


if __name__ == "__main__":
    main()
