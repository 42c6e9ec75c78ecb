"""The small model goes on: its lower layers learn by themselves, from single texts, then all of it.

    CROSSRANK_DATA=FOLDER python recipes/default_model/lower.py
    python benchmarks/students.py build/default_model/int8 build/default_model/small*-int8

What the lower layers make of a text does not depend on the other side of a pair. So every text is
read once, where pairs would read it three times, and texts of one length make a batch without
padding. Run ``small.py`` first. What this gave stands in README.md; it is not embedded.
"""

import argparse
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from articles import articles
from lists import trios
from make import BUILD, parsed, stage
from passages import Pair, asked
from prose import lessons
from small import all_pairs, counted, learn, quantise, write_texts
from tokenizers import Tokenizer
from torch import Tensor
from transformers import PreTrainedModel

from crossrank.models.architectures.prettr import PreTTR
from crossrank.models.torch_modules.saving import pretrained
from crossrank.training.model import TrainableModel

PASSAGES = 150_000  # of ``pairs.jsonl``, to choose from
MIXED = 110_000, 80_000  # passages and queries of other sources beside those of articles
ASKED_OF = 20_000  # passages of articles that are paired with queries; each gives two pairs more
LONGEST = 144  # tokens of a text that are read
TOKENS, TEXTS = 4096, 256  # a step, at most
SHORT = 14  # tokens: what is shorter is a query
OF_QUERIES = 0.35  # what the error of such a batch counts
STEPS, RATE, WARM_UP = 4_400, 8e-4, 100
STEPS_OF_ALL, RATE_OF_ALL = 600, 1e-4  # at 5e-4 the error rose
SAVED = 500  # steps between two checkpoints


def main() -> None:
    """Write the texts, train, and export int8; what is there is used again."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--work", type=Path, default=BUILD, help="folder of small, trained")
    options.add_argument("--passages", type=int, default=PASSAGES, help="to choose texts from")
    options.add_argument("--steps", type=int, help="of every stage; for a try")
    chosen = parsed(options)
    work, teacher = chosen.work, chosen.work / "trained"
    tokens, lower = work / "single.npz", work / "small-lower"
    world, further = work / "world.arrow", work / "small-further"

    @cache
    def paired() -> list[Pair]:
        return counted(lessons(BUILD, random.Random(4)), work / "lessons.json")

    def write_single(path: Path) -> None:
        pairs = [*all_pairs(work, chosen.data, chosen.passages), *paired()]
        write_tokens(single(pairs), teacher / "tokenizer.json", path)

    stage(tokens, write_single)
    steps = chosen.steps or STEPS
    stage(lower, lambda path: learn_lower(work / "small", teacher, tokens, path, steps))
    stage(world, lambda path: write_texts([*paired(), *titled()], path))
    steps_of_all = chosen.steps or STEPS_OF_ALL
    stage(further, partial(learn, lower, teacher, world, steps=steps_of_all, rate=RATE_OF_ALL))
    stage(work / "small-further-int8", lambda path: quantise(further, world, path))


def single(pairs: list[Pair]) -> list[str]:
    """Mix passages of articles with passages and queries of all other sources."""
    chance = random.Random(5)
    texts = [passage for _, passage in articles(BUILD, chance)]
    queries, documents = (list(dict.fromkeys(side)) for side in zip(*pairs, strict=True))
    for others, most in zip((documents, queries), MIXED, strict=True):
        texts += chance.sample(others, min(len(others), most))
    chance.shuffle(texts)
    return texts


def titled() -> list[Pair]:
    """Pair titles of articles, put as questions, with passages."""
    chance = random.Random(6)
    found = [(asked(title), passage) for title, passage in articles(BUILD, chance)]
    return list(trios(chance.sample(found, min(len(found), ASKED_OF)), chance))


def write_tokens(texts: Sequence[str], file: Path, target: Path) -> None:
    """Write the texts' tokens one after the other, and how many each has.

    Args:
        texts: In the order in which they are to be read.
        file: The ``tokenizer.json`` of both models.
        target: A file of numpy's.
    """
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.enable_truncation(LONGEST)
    found = [
        np.array(encoding.ids, dtype=np.uint16)
        for start in range(0, len(texts), 10_000)
        for encoding in tokenizer.encode_batch(texts[start : start + 10_000])
    ]
    with target.open("wb") as out:
        np.savez(out, tokens=np.concatenate(found), lengths=[len(row) for row in found])


def learn_lower(start: Path, teacher: Path, tokens: Path, folder: Path, steps: int) -> None:
    """Learn what the teacher's lower layers make of texts; an interrupted run goes on.

    The layers above and the head become the teacher's: they read the same states now.

    Args:
        start: The model that learns, with fewer layers than the teacher has.
        teacher: The trained model of six layers.
        tokens: What ``write_tokens`` wrote.
        folder: The folder to write.
        steps: How many.
    """
    model = TrainableModel.load(start)
    student, aim = pretrained(model.module.eval()), PreTTR.from_pretrained(teacher).eval()
    join, end = student.config.join_layer, aim.config.join_layer
    layers, aims = student.bert.encoder.layer, aim.bert.encoder.layer
    layers[join:].load_state_dict(aims[end:].state_dict())
    student.head.load_state_dict(aim.head.state_dict())
    student.cross_bias.data.copy_(aim.cross_bias)
    student.set_attn_implementation("eager")  # on a CPU a third less time
    learnt = [*student.bert.embeddings.parameters(), *layers[:join].parameters()]
    optimizer = torch.optim.AdamW(learnt, RATE, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    checkpoint = folder.with_name(f"{folder.name}-run.pt")
    done = resume(checkpoint, student, optimizer)
    for step, ids in zip(range(steps), batches(tokens), strict=False):
        if step < done:
            continue
        error = distance(student, aim, ids)
        (error if ids.shape[1] >= SHORT else OF_QUERIES * error).backward()
        torch.nn.utils.clip_grad_norm_(learnt, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, step / WARM_UP, (1 - step / steps) / 0.9)
        optimizer.step()
        optimizer.zero_grad()
        if step % SAVED == SAVED - 1:
            print(f"step {step + 1} of {steps}: error {error.item():.4f}", flush=True)
            save(checkpoint, student, optimizer, step + 1)
    model.save(folder, "sigmoid")
    checkpoint.unlink(missing_ok=True)


def distance(student: PreTrainedModel, teacher: PreTrainedModel, ids: Tensor) -> Tensor:
    """Compute the mean over tokens of the states' squared distance, by the teacher's length."""
    with torch.autocast("cpu", torch.bfloat16):
        with torch.no_grad():
            aims = lower_states(teacher, ids).float()
        reached = lower_states(student, ids).float()
    return ((reached - aims).square().sum(dim=-1) / aims.square().sum(dim=-1)).mean()


def lower_states(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """Compute the states below the joint layers, ``[texts, length, size]``."""
    positions = torch.arange(ids.shape[1]).expand_as(ids)
    types = torch.zeros_like(ids)
    states = model.bert.embeddings(ids, token_type_ids=types, position_ids=positions)
    for layer in model.bert.encoder.layer[: model.config.join_layer]:
        states = layer(states)
    return states


def batches(file: Path) -> Iterator[Tensor]:
    """Yield token ids ``[texts, length]`` of texts of one length, without end."""
    with np.load(file) as read:
        tokens, lengths = read["tokens"], read["lengths"]
    starts = np.cumsum(lengths) - lengths

    def ids(starts: list[int], length: int) -> Tensor:
        rows = [tokens[start : start + length] for start in starts]
        return torch.from_numpy(np.stack(rows).astype(np.int64))

    while True:
        waiting: dict[int, list[int]] = defaultdict(list)
        for length, start in zip(lengths.tolist(), starts.tolist(), strict=True):
            waiting[length].append(start)
            count = len(waiting[length])
            if count == TEXTS or count * length >= TOKENS:
                yield ids(waiting.pop(length), length)
        for length, rest in waiting.items():
            yield ids(rest, length)


def save(file: Path, student: PreTrainedModel, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Write a checkpoint in the place of the one before."""
    unfinished = file.with_suffix(".unfinished")
    torch.save((student.state_dict(), optimizer.state_dict(), step), unfinished)
    unfinished.rename(file)


def resume(file: Path, student: PreTrainedModel, optimizer: torch.optim.Optimizer) -> int:
    """Read a checkpoint, if there is one, and say how many steps are done."""
    if not file.exists():
        return 0
    weights, state, step = torch.load(file, weights_only=True)
    student.load_state_dict(weights)
    optimizer.load_state_dict(state)
    return int(step)


if __name__ == "__main__":
    main()
