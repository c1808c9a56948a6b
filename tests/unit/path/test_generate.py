"""The generator: sizes, flows and numbers, whatever the kernel has no room for."""

from collections import Counter

import pytest

from vecwire import Batch
from vecwire.path.generate import Generator
from vecwire.traffic import IMIX, Traffic
from vecwire.wire.stamp import read


def frames(generator: Generator, count: int, depth: int = 8) -> list[bytes]:
    """The next frames."""
    batch = Batch(depth)
    found: list[bytes] = []
    while len(found) < count:
        generator.fill(batch, min(depth, count - len(found)), 1)
        found += map(bytes, batch)
    return found


def numbers(found: list[bytes]) -> list[tuple[object, object]]:
    """Flow and number of each."""
    return [(told["flow"], told["sequence"]) for told in map(read, found)]


def test_flows_take_turns_and_count_for_themselves() -> None:
    """Three flows: each has its own numbers from 0 on."""
    found = frames(Generator(Traffic().pattern(), [60], 3), 7)
    assert numbers(found) == [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1), (0, 2)]


def test_each_flow_has_the_whole_mix() -> None:
    """Four flows and twelve sizes: after twelve rounds each flow has had the mix."""
    found = frames(Generator(Traffic().pattern(), list(IMIX), 4), 48)
    for flow in range(4):
        mine = [len(frame) for frame in found if read(frame)["flow"] == flow]
        assert Counter(mine) == Counter(IMIX) == {60: 7, 566: 4, 1514: 1}


def test_what_was_not_sent_is_made_again() -> None:
    """Frames that are taken back come again with their numbers and lengths; counters say so."""
    generator = Generator(Traffic().pattern(), [60, 100, 1514], 2)
    batch = Batch(8)
    generator.fill(batch, 8, 1)
    first = [bytes(frame) for frame in batch]
    generator.unsend(5)
    assert (generator.frames, generator.octets) == (3, sum(map(len, first[:3])))
    generator.fill(batch, 5, 1)
    assert [bytes(frame) for frame in batch] == first[3:]
    assert generator.counts() == [4, 4]
    with pytest.raises(ValueError, match="made"):
        generator.unsend(9)


def test_marks_tell_how_many_there_were() -> None:
    """The marks at the end have the count of each flow, over as many batches as it takes."""
    generator = Generator(Traffic().pattern(), [60], 5)
    frames(generator, 12)
    batch = Batch(3)
    told, flow = [], 0
    while flow < 5:
        flow = generator.marks(batch, begin=False, first=flow)
        told += [read(frame) for frame in batch]
    assert [(each["kind"], each["flow"], each["sequence"]) for each in told] == [
        ("end", flow, count) for flow, count in enumerate([3, 3, 2, 2, 2])
    ]
    generator.marks(batch, begin=True)
    assert read(batch[0])["kind"] == "begin"


def test_what_stood_in_the_batch_is_gone() -> None:
    """A batch that held other frames is clean behind the stamps."""
    batch = Batch(2)
    batch.extend([b"\xa5" * 1514] * 2)
    Generator(Traffic().pattern(), [1514]).fill(batch, 2, 1)
    assert all(read(frame)["verdict"] == "stamped" and not any(frame[60:]) for frame in batch)


@pytest.mark.parametrize(
    ("sizes", "flows", "run", "rate"),
    [
        ([], 1, 0, 0),
        ([59], 1, 0, 0),
        ([60], 0, 0, 0),
        ([60], 32769, 0, 0),
        ([60], 1, 65536, 0),
        ([60], 1, 0, -1),
    ],
)
def test_numbers_out_of_range_are_refused(sizes: list[int], flows: int, run: int, rate: float) -> None:
    """Each number has its bounds."""
    with pytest.raises(ValueError, match=r"frames|flows|run"):
        Generator(Traffic().pattern(), sizes, flows, run, rate)


def test_a_batch_has_to_have_room() -> None:
    """Frames that do not fit, by length or by number, are refused before any is written."""
    generator = Generator(Traffic().pattern(), [1514])
    with pytest.raises(ValueError, match="does not fit"):
        generator.fill(Batch(2, 1000), 1, 1)
    with pytest.raises(ValueError, match="slots"):
        generator.fill(Batch(2), 3, 1)


def test_columns_show_what_is_made() -> None:
    """Columns of a batch that were taken before it was filled show the frames that it is filled with."""
    batch = Batch(4, 1514)
    batch.append(bytes(100), timestamp=7)
    batch.mask[0] = 0
    batch.lengths[0] = 20
    Generator(Traffic().pattern(), [60, 1514]).fill(batch, 2, 1)
    assert batch.lengths.tolist() == [60, 1514]
    assert batch.mask.tolist() == [1, 1]
    assert batch.timestamps.tolist() == [0, 0]
