"""Two of the training steps in JAX, compiled by its jit: the fastest form that JAX has on a CPU."""

from __future__ import annotations


def _adam(jax, params, loss):
    """A compiled step of Adam on loss(params, x, y)."""
    jnp = jax.numpy
    zeros = jax.tree.map(jnp.zeros_like, params)

    def step(state, x, y):
        params, m, v, t = state
        grads = jax.grad(loss)(params, x, y)
        t = t + 1
        m = jax.tree.map(lambda a, g: 0.9 * a + 0.1 * g, m, grads)
        v = jax.tree.map(lambda a, g: 0.999 * a + 0.001 * g * g, v, grads)
        scale = 1e-3 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        params = jax.tree.map(lambda p, a, b: p - scale * a / (jnp.sqrt(b) + 1e-8), params, m, v)
        return params, m, v, t

    return jax.jit(step, donate_argnums=0), (params, zeros, zeros, jnp.float32(0))


def _cross_entropy(jax, scores, y):
    logs = jax.nn.log_softmax(scores)
    return -jax.numpy.take_along_axis(logs, y[:, None], 1).mean()


def _runner(jax, params, loss, x, y):
    step, state = _adam(jax, params, loss)
    box = [jax.tree.map(jax.numpy.array, state)]

    def run():
        box[0] = step(box[0], x, y)
        jax.block_until_ready(box[0])

    return run


def _normal(jax, shape, scale=0.05):
    key = jax.random.PRNGKey(sum(shape))
    return jax.random.normal(key, shape) * scale


def _inputs(jax, shape):
    x = jax.random.uniform(jax.random.PRNGKey(0), shape)
    return x, jax.random.randint(jax.random.PRNGKey(1), (shape[0],), 0, 10)


def perceptron_jax(jax):
    sizes = [784, 256, 128, 10]
    params = [(_normal(jax, (a, b)), jax.numpy.zeros(b)) for a, b in zip(sizes, sizes[1:])]

    def loss(params, x, y):
        for i, (w, b) in enumerate(params):
            x = x @ w + b
            if i < 2:
                x = jax.nn.relu(x)
        return _cross_entropy(jax, x, y)

    return _runner(jax, params, loss, *_inputs(jax, (128, 784)))


def convolutional_jax(jax):
    jnp, lax = jax.numpy, jax.lax
    params = dict(
        a=_normal(jax, (3, 3, 1, 32)),
        b=_normal(jax, (3, 3, 32, 64)),
        c=_normal(jax, (3136, 128)),
        d=_normal(jax, (128, 10)),
        biases=[jnp.zeros(n) for n in (32, 64, 128, 10)],
    )

    def convolve(x, w, b):
        y = lax.conv_general_dilated(
            x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        y = jax.nn.relu(y + b)
        return lax.reduce_window(y, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    def loss(p, x, y):
        b = p["biases"]
        x = convolve(convolve(x, p["a"], b[0]), p["b"], b[1]).reshape(64, -1)
        return _cross_entropy(jax, jax.nn.relu(x @ p["c"] + b[2]) @ p["d"] + b[3], y)

    return _runner(jax, params, loss, *_inputs(jax, (64, 28, 28, 1)))
