"""Weights from files: what fits is loaded, and a file that is not what it seems is one sentence and runs nothing."""

import pickle
import re
import warnings
import zipfile
from pathlib import Path

import pytest
import torch

from Speckle2SelfLogic.checkpoint import LARGEST_FILE_BYTES, network_from_file
from Speckle2SelfLogic.errors import WeightsError
from Speckle2SelfLogic.networks.despeckler import Despeckler
from Speckle2SelfLogic.networks.reference import ReferenceNetwork


class CreatesAFile:
    """What a hostile pickle does when it is opened: here, it only touches a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture
def a_network():
    torch.manual_seed(11)
    return Despeckler(channels=(4, 8), blocks=1, middle_blocks=1)


@pytest.fixture
def a_file(tmp_path, a_network):
    return saved(a_network.state_dict(), tmp_path / "net.pt")


@pytest.fixture
def an_authors_checkpoint(tmp_path):
    """All 96 tensors, each one value repeated, so that the file stays small."""
    shapes = {name: values.shape for name, values in ReferenceNetwork().state_dict().items()}
    state = {name: torch.full((1,), 0.01 * i).expand(shape) for i, (name, shape) in enumerate(shapes.items())}
    return saved(state, tmp_path / "model_2833.pth")


def small_network(path):
    return network_from_file(path, settings={"channels": [4, 8], "blocks": 1, "middle_blocks": 1})


def saved(content, path):
    torch.save(content, path)
    return path


def changed(path, **changes):
    """The same file of weights with some entries replaced (None: removed)."""
    state = {**torch.load(path, weights_only=True), **changes}
    return saved({name: value for name, value in state.items() if value is not None}, path)


def rewritten(path, change_pickle):
    """The same archive with the bytes of its pickle changed."""
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in records.items():
            archive.writestr(name, change_pickle(content) if name.endswith("/data.pkl") else content)
    return path


def the_error(function, *arguments, **options):
    """The sentence with which a call fails; no warning may come with it."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with pytest.raises(WeightsError) as caught:
            function(*arguments, **options)
    assert seen == []
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


def test_a_checkpoint_saved_on_a_gpu_loads_where_there_is_none(an_authors_checkpoint):
    expected = torch.load(an_authors_checkpoint, weights_only=True)
    rewritten(an_authors_checkpoint, lambda pickled: pickled.replace(b"\x03\0\0\0cpu", b"\x06\0\0\0cuda:0"))
    assert b"cuda:0" in an_authors_checkpoint.read_bytes()

    network, _ = network_from_file(an_authors_checkpoint)

    assert all(torch.equal(values, expected[name]) for name, values in network.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_precision_become_single(a_file, a_network, dtype):
    saved({name: values.to(dtype) for name, values in a_network.state_dict().items()}, a_file)

    assert {values.dtype for values in small_network(a_file)[0].state_dict().values()} == {torch.float32}


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    assert "No such file" in the_error(network_from_file, tmp_path / "absent.pt")
    assert "cannot be read" in the_error(network_from_file, tmp_path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty (0 bytes)"),
        (b"These are my weights\n", "is not a file of PyTorch weights"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "is not a file of PyTorch weights"),
        ((40).to_bytes(8, "little") + b'{"a":{"dtype":"F32"}}', "is a safetensors file"),
        (b"PK\x03\x04" + bytes(200), "truncated or damaged"),
        (b"PK\x05\x06" + bytes(18), "is not a file of PyTorch weights"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path, content, sentence):
    path = tmp_path / "weights.pt"
    path.write_bytes(content)

    assert sentence in the_error(network_from_file, path)


@pytest.mark.parametrize(
    ("protocol", "sentence"), [(0, "is not a file of PyTorch weights"), (2, "a bare pickle"), (5, "a bare pickle")]
)
def test_a_pickle_posing_as_weights_is_not_run(tmp_path, protocol, sentence):
    path, trace = tmp_path / "weights.pt", tmp_path / "was-run"
    path.write_bytes(pickle.dumps(CreatesAFile(trace), protocol))

    assert sentence in the_error(network_from_file, path)
    assert not trace.exists()


@pytest.mark.parametrize("is_archive", [True, False])
def test_a_pickle_inside_a_checkpoint_is_not_run(tmp_path, a_network, is_archive):
    path, trace = tmp_path / "weights.pt", tmp_path / "was-run"
    content = {**a_network.state_dict(), "extra": CreatesAFile(trace)}
    torch.save(content, path, _use_new_zipfile_serialization=is_archive)

    assert "could run code when opened, so it was not" in the_error(small_network, path)
    assert not trace.exists()
    pickle.loads(pickle.dumps(CreatesAFile(trace)))  # noqa: S301 - the trap does work when somebody steps into it
    assert trace.exists()


def test_a_torchscript_program_is_refused(tmp_path):
    path = tmp_path / "program.pt"
    with zipfile.ZipFile(path, "w") as archive:
        for record in ("data.pkl", "constants.pkl", "code/__torch__.py"):
            archive.writestr(f"program/{record}", b"\x80\x02N.")

    assert "is a TorchScript program" in the_error(network_from_file, path)


@pytest.mark.parametrize("records", [{}, {"notes.txt": b"hello"}, {"a/data.pkl": b"\x80\x02N.", "b/data.pkl": b"N."}])
def test_an_archive_of_something_else_is_refused(tmp_path, records):
    path = tmp_path / "weights.pt"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {"first": b"1", **records}.items():
            archive.writestr(name, content)

    assert "torch.save did not write" in the_error(network_from_file, path)


def test_a_compressed_archive_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb/data.pkl", bytes(50_000_000))

    assert "torch.save did not write" in the_error(network_from_file, path)


def test_a_file_of_enormous_size_is_refused_unread(tmp_path):
    path = tmp_path / "weights.pt"
    with path.open("wb") as file:
        file.truncate(LARGEST_FILE_BYTES + 1)  # sparse: takes no space

    assert "no network here needs more" in the_error(network_from_file, path)


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.7, 0.99])
def test_a_truncated_file_is_refused(a_file, kept):
    content = a_file.read_bytes()
    a_file.write_bytes(content[: int(kept * len(content))])

    assert "truncated or damaged" in the_error(small_network, a_file)


def test_every_damaged_byte_is_noticed_or_harmless(a_file, a_network):
    content = a_file.read_bytes()
    refused = 0
    for position in range(7, len(content), len(content) // 60):
        a_file.write_bytes(content[:position] + bytes([content[position] ^ 0x41]) + content[position + 1 :])
        try:
            network, _ = small_network(a_file)
        except WeightsError:
            refused += 1
        else:
            state = network.state_dict()
            assert all(torch.equal(state[name], values) for name, values in a_network.state_dict().items())
    assert refused > 20


@pytest.mark.parametrize("content", [[1, 2], torch.zeros(3), "text", {}, {"epoch": 3}, None])
def test_a_checkpoint_without_a_state_dict_is_refused(tmp_path, content):
    assert "write weights with torch.save" in the_error(network_from_file, saved(content, tmp_path / "weights.pt"))


def test_a_state_dict_inside_a_training_checkpoint_is_refused_with_what_to_do(tmp_path, a_network):
    path = saved({"epoch": 7, "model": a_network.state_dict()}, tmp_path / "checkpoint.pt")

    sentence = the_error(network_from_file, path)

    assert "holds 'epoch, model' beside or instead of floating point tensors" in sentence
    assert "torch.save(network.state_dict(), path)" in sentence


@pytest.mark.parametrize(
    "value",
    [
        torch.zeros(1, dtype=torch.int64),
        torch.zeros(1, dtype=torch.complex64),
        torch.zeros(1).to_sparse(),
        torch.zeros(1, device="meta"),
        3.0,
        [0.0],
    ],
)
def test_a_value_that_is_no_plain_tensor_is_refused(a_file, value):
    assert "'last.bias' beside or instead of floating point tensors" in the_error(
        small_network, changed(a_file, **{"last.bias": value})
    )


def test_missing_and_extra_tensors_are_counted_and_the_first_named(a_file):
    extra = {f"more.{i}": torch.zeros(1) for i in range(5)}

    sentence = the_error(small_network, changed(a_file, **{"last.bias": None, **extra}))

    assert "1 of 22 tensors are missing (last.bias)" in sentence
    assert "5 tensors are not of this network (more.0, more.1, more.2, ...)" in sentence


def test_a_checkpoint_of_the_authors_with_a_missing_tensor_is_refused(an_authors_checkpoint):
    changed(an_authors_checkpoint, **{"encoder_lowRes.conv_block_1.conv.bias": None})

    assert "do not fit the reference network: 1 of 96 tensors are missing (encoder_lowRes.conv_block_1.conv.bias)" in (
        the_error(network_from_file, an_authors_checkpoint)
    )


def test_tensors_of_another_shape_are_refused(a_file):
    sentence = the_error(small_network, changed(a_file, **{"last.bias": torch.zeros(2)}))

    assert "1 tensors have another shape (last.bias is (2,) instead of (1,))" in sentence


def test_weights_of_another_network_are_refused(tmp_path):
    path = saved(torch.nn.Linear(2, 2).state_dict(), tmp_path / "linear.pt")

    assert "belong to no network known here: their tensors are named weight, bias" in the_error(network_from_file, path)


@pytest.mark.parametrize(
    ("value", "dtype"), [(float("nan"), torch.float32), (float("inf"), torch.float16), (1e300, torch.float64)]
)
def test_weights_that_are_not_finite_in_single_precision_are_refused(a_file, value, dtype):
    changed(a_file, **{"last.bias": torch.tensor([value], dtype=dtype)})

    assert "not finite float32 numbers, first in 'last.bias'" in the_error(small_network, a_file)


def test_a_tensor_that_claims_a_huge_shape_is_refused_without_memory_for_it(a_file):
    changed(a_file, **{"last.bias": torch.zeros(1).expand(10**13)})

    assert "last.bias is (10000000000000,) instead of (1,)" in the_error(small_network, a_file)


@pytest.mark.parametrize("count", [9, 2**31, 10**13])
def test_a_record_that_claims_more_values_than_the_file_holds_is_refused(tmp_path, count):
    path = saved({"last.bias": torch.zeros(8)}, tmp_path / "weights.pt")
    long_count, short_count = b"\x8a\x08" + count.to_bytes(8, "little"), b"K\x08"
    rewritten(path, lambda pickled: pickled.replace(short_count, long_count))

    assert re.search("damaged|do not fit", the_error(network_from_file, path))


def test_published_weights_without_the_training_encoders_in_half_precision_despeckle_in_single(tmp_path):
    torch.manual_seed(3)
    whole = ReferenceNetwork().eval()
    kept = {
        name: values.half()
        for name, values in whole.state_dict().items()
        if name.startswith(("encoder_highRes", "decoder"))
    }
    network, kind = network_from_file(saved(kept, tmp_path / "published.pt"))
    assert kind == "reference"
    assert {values.dtype for values in network.state_dict().values()} == {torch.float32}
    whole.load_state_dict({**whole.state_dict(), **{name: values.float() for name, values in kept.items()}})
    frames = torch.rand(1, 1, 48, 33)
    with torch.inference_mode():
        torch.testing.assert_close(network(frames), whole(frames))
    with pytest.raises(WeightsError, match="full-scale encoder alone"):
        network.forward_scales(None)


def test_a_checkpoint_of_the_authors_keeps_all_its_tensors(an_authors_checkpoint):
    network, kind = network_from_file(an_authors_checkpoint)
    assert kind == "reference"
    assert len(network.state_dict()) == 96
