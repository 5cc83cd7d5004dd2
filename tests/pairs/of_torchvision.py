"""Operations of torchvision beside functions of JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from torchvision import ops
from torchvision.transforms import functional as images

from pairs.records import Pair
from pairs.right_modules import seeded
from pairs.seeded import integers, normals, uniforms

WRONG = {"passes": False, "cause": "definition"}
IMAGE = uniforms(0, 1, (3, 6, 6))


def boxes():
    corners = np.random.default_rng(0).uniform(0, 4, (5, 2, 2)).astype(np.float32)
    return [np.concatenate([corners[:, 0], corners[:, 0] + 1 + corners[:, 1]], -1)]


def two_sets_of_boxes():
    (first,) = boxes()
    return [first, first[::-1].copy() + np.float32(0.3)]


def with_bits():
    return [*normals((40,))(), integers(2, 40).astype(np.float32)]


def area(box):
    return (box[..., 2] - box[..., 0]) * (box[..., 3] - box[..., 1])


def jax_iou(a, b):
    a, b = a[:, None], b[None]
    size = jnp.clip(jnp.minimum(a[..., 2:], b[..., 2:]) - jnp.maximum(a[..., :2], b[..., :2]), 0)
    both = size[..., 0] * size[..., 1]
    return both / (area(a) + area(b) - both)


def jax_centres(box):
    return jnp.concatenate([(box[:, :2] + box[:, 2:]) / 2, box[:, 2:] - box[:, :2]], -1)


def jax_grey(image):
    return (jnp.array([0.2989, 0.587, 0.114], image.dtype)[:, None, None] * image).sum(0, keepdims=True)


def jax_squeeze(x):
    p = {
        name: jnp.asarray(value.detach().numpy())[..., 0, 0]
        for name, value in SQUEEZE.named_parameters()
        if "weight" in name
    }
    hidden = jax.nn.relu(p["fc1.weight"] @ x.mean((1, 2)) + jnp.asarray(SQUEEZE.fc1.bias.detach().numpy()))
    scale = jax.nn.sigmoid(p["fc2.weight"] @ hidden + jnp.asarray(SQUEEZE.fc2.bias.detach().numpy()))
    return scale[:, None, None] * x


SQUEEZE = seeded(lambda: ops.SqueezeExcitation(3, 2))

PAIRS = [
    Pair(
        "torchvision-focal-loss",
        ops.sigmoid_focal_loss,
        lambda x, t: optax.losses.sigmoid_focal_loss(x, t, alpha=0.25),
        with_bits,
        options={"wrt": 0},
    ),
    Pair(
        "torchvision-focal-loss-without-alpha",
        ops.sigmoid_focal_loss,
        optax.losses.sigmoid_focal_loss,
        with_bits,
        options={"wrt": 0},
        **WRONG,
    ),
    Pair("torchvision-box-areas", ops.box_area, area, boxes),
    Pair("torchvision-overlaps-of-boxes", ops.box_iou, jax_iou, two_sets_of_boxes),
    Pair("torchvision-overlaps-the-other-way", ops.box_iou, lambda a, b: jax_iou(a, b).T, two_sets_of_boxes, **WRONG),
    Pair("torchvision-centres-of-boxes", lambda b: ops.box_convert(b, "xyxy", "cxcywh"), jax_centres, boxes),
    Pair("torchvision-grey", images.rgb_to_grayscale, jax_grey, IMAGE),
    Pair("torchvision-grey-of-another-order", lambda x: images.rgb_to_grayscale(x.flip(0)), jax_grey, IMAGE, **WRONG),
    Pair(
        "torchvision-normalised",
        lambda x: images.normalize(x, [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]),
        lambda x: (x - jnp.array([0.5, 0.4, 0.3])[:, None, None]) / jnp.array([0.2, 0.3, 0.4])[:, None, None],
        IMAGE,
    ),
    Pair("torchvision-squeeze-and-excitation", lambda x: SQUEEZE(x[None])[0], jax_squeeze, normals((3, 4, 4))),
    Pair(
        "torchvision-stochastic-depth-in-inference",
        ops.StochasticDepth(0.5, "row").eval(),
        lambda x: x,
        normals((6, 8)),
    ),
    Pair(
        "torchvision-frozen-batch-norm",
        ops.FrozenBatchNorm2d(3),
        lambda x: x / jnp.sqrt(1 + 1e-5),
        normals((2, 3, 4, 4)),
    ),
    Pair("torchvision-permuted", ops.Permute([0, 2, 1]), lambda x: x.swapaxes(1, 2), normals((2, 3, 4))),
    Pair(
        "torchvision-permuted-otherwise",
        ops.Permute([1, 0, 2]),
        lambda x: x.transpose(1, 2, 0).reshape(3, 2, 4),
        normals((2, 3, 4)),
        **WRONG,
    ),
]
